// Growing vectors: a few hundred vectors, texts, hash maps and realloc'ed buffers grow step by step, and are
// dropped when they are long. Stands for C++ programs that collect results of unknown length.
#include "workload.h"

#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr std::size_t COLLECTIONS = 400, STEPS = 16;

struct Collection {
    std::vector<std::uint64_t> numbers;
    std::string text;
    std::unordered_map<std::uint64_t, std::string> names;
    char *buffer = nullptr;
    std::size_t length = 0, longest = 0;

    void grow(Random &random)
    {
        for (std::size_t step = 0; step < STEPS; step++) {
            std::uint64_t number = next_random(&random);
            numbers.push_back(number);
            text.append(number & 15, 'x');
            names.emplace(number, std::string(number & 63, 'y'));
        }
        length += 1 + below(&random, 256);
        buffer = checked(std::realloc(buffer, length));
        buffer[length - 1] = 1;
    }

    void drop(Random &random)
    {
        numbers = {};
        text = {};
        names = {};
        std::free(buffer);
        buffer = nullptr;
        length = 0;
        longest = doubling_size(&random, 8, 16);
    }
};

}  // namespace

int main(int count, char **words)
{
    Random random = {8};
    std::vector<Collection> collections(COLLECTIONS);

    for (auto &collection : collections)
        collection.drop(random);
    for (std::size_t left = share(count, words, 200000); left; left--) {
        Collection &collection = collections[below(&random, COLLECTIONS)];
        collection.grow(random);
        if (collection.length > collection.longest)
            collection.drop(random);
    }
    for (auto &collection : collections)
        collection.drop(random);
    return 0;
}
