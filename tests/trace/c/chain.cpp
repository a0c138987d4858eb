// Allocates by the C++ operators and by posix_memalign from a chain of calls that is known.
#include <cstdlib>
#include <new>

#define SIZE 70001
#define FAR extern "C" __attribute__((noinline, noipa))

static void *volatile kept;
struct alignas(64) Wide {
    char bytes[SIZE / 64 * 64 + 64];
};

FAR void innermost(int way) {
    void *block = nullptr;
    switch (way) {
        case 0: kept = ::operator new(SIZE); break;
        case 1: kept = new char[SIZE]; break;
        case 2: kept = new (std::nothrow) char[SIZE]; break;
        case 3: kept = new Wide; break;
        case 4: if (posix_memalign(&block, 64, SIZE) == 0) kept = block; break;
        case 5: kept = aligned_alloc(64, SIZE / 64 * 64 + 64); break;
        case 6: kept = reallocarray(nullptr, SIZE, 1); break;
    }
    __asm__ volatile("" : : : "memory");
}
FAR void middle(int way) {
    innermost(way);
    __asm__ volatile("" : : : "memory");
}
FAR void outer(int way) {
    middle(way);
    __asm__ volatile("" : : : "memory");
}
FAR void only_here(int way) {
    outer(way);
    __asm__ volatile("" : : : "memory");
}

int main() {
    for (int way = 0; way < 7; way++) only_here(way);
    return 0;
}
