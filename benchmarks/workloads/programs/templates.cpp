// What the compiler gets to compile: regular expressions, maps and streams, all of them templates. Stands
// for building software.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

template <typename Key, typename Value> struct Index {
    std::map<Key, std::vector<Value>> sorted;
    std::unordered_map<std::string, std::shared_ptr<Value>> named;

    void add(Key key, Value value)
    {
        std::ostringstream name;
        name << key;
        named[name.str()] = std::make_shared<Value>(value);
        sorted[key].push_back(std::move(value));
    }

    template <typename Function> void each(Function function)
    {
        for (auto &[key, values] : sorted) {
            std::sort(values.begin(), values.end());
            std::for_each(values.begin(), values.end(), function);
        }
    }
};

int main()
{
    std::regex words("([a-z]+)[0-9]*(-[a-z]{2,5})?");
    Index<int, std::string> texts;
    Index<long, std::set<double>> sets;
    Index<double, std::pair<std::string, int>> pairs;
    std::variant<int, std::string, std::vector<double>> any = 1;
    std::function<void(std::string)> print = [&](std::string text) {
        std::cout << std::regex_replace(text, words, "$1");
    };

    texts.add(1, "one-two");
    sets.add(2, {1.0, 2.0});
    pairs.add(3, {"three", 3});
    texts.each(print);
    sets.each([](const std::set<double> &set) { std::cout << set.size(); });
    pairs.each([](const auto &pair) { std::cout << pair.first << pair.second; });
    std::visit([](auto &&value) { std::cout << sizeof value; }, any);
    return 0;
}
