// The operators new and delete in all their forms, against the C++ standard: operators.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "check.h"

namespace {

const std::size_t sizes[] = {0, 1, 8, 16, 24, 100, 128, 129, 1000, 4096, 10000, 131072, 1000000};
constexpr std::size_t too_large = SIZE_MAX / 2 + 1;

template <typename New, typename Delete> void works(std::size_t alignment, New allocate, Delete release)
{
    for (std::size_t size : sizes) {
        void *first = allocate(size);
        void *second = allocate(size);
        CHECK(first && second && first != second);
        CHECK(reinterpret_cast<std::uintptr_t>(first) % (size < 16 && alignment <= 16 ? 8 : alignment) == 0);
        std::memset(first, 1, size);
        std::memset(second, 2, size);
        for (std::size_t i = 0; i < size; i++)
            CHECK(static_cast<char *>(first)[i] == 1);
        release(first, size);
        release(second, size);
    }
    release(nullptr, 0);
}

void every_form_allocates_and_releases()
{
    using std::align_val_t;
    const std::nothrow_t &quiet = std::nothrow;

    works(16, [](auto n) { return ::operator new(n); }, [](void *p, auto) { ::operator delete(p); });
    works(16, [](auto n) { return ::operator new[](n); }, [](void *p, auto) { ::operator delete[](p); });
    works(16, [&](auto n) { return ::operator new(n, quiet); }, [&](void *p, auto) { ::operator delete(p, quiet); });
    works(16, [&](auto n) { return ::operator new[](n, quiet); }, [&](void *p, auto) { ::operator delete[](p, quiet); });
    works(16, [](auto n) { return ::operator new(n); }, [](void *p, auto n) { ::operator delete(p, n); });
    works(16, [](auto n) { return ::operator new[](n); }, [](void *p, auto n) { ::operator delete[](p, n); });
    for (std::size_t alignment = 8; alignment <= 65536; alignment *= 2) {
        align_val_t a{alignment};
        works(alignment, [=](auto n) { return ::operator new(n, a); }, [=](void *p, auto) { ::operator delete(p, a); });
        works(alignment, [=](auto n) { return ::operator new[](n, a); }, [=](void *p, auto) { ::operator delete[](p, a); });
        works(alignment, [=](auto n) { return ::operator new(n, a); }, [=](void *p, auto n) { ::operator delete(p, n, a); });
        works(alignment, [=](auto n) { return ::operator new[](n, a); },
              [=](void *p, auto n) { ::operator delete[](p, n, a); });
        works(alignment, [=](auto n) { return ::operator new(n, a, std::nothrow); },
              [=](void *p, auto) { ::operator delete(p, a, std::nothrow); });
        works(alignment, [=](auto n) { return ::operator new[](n, a, std::nothrow); },
              [=](void *p, auto) { ::operator delete[](p, a, std::nothrow); });
    }
}

template <typename Call> bool throws_bad_alloc(Call call)
{
    try {
        call();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

void without_a_handler_failure_is_bad_alloc()
{
    std::set_new_handler(nullptr);
    std::size_t much = opaque(too_large);
    CHECK(throws_bad_alloc([=] { return ::operator new(much); }));
    CHECK(throws_bad_alloc([=] { return ::operator new[](much); }));
    CHECK(throws_bad_alloc([=] { return ::operator new(much, std::align_val_t{64}); }));
    CHECK(throws_bad_alloc([=] { return ::operator new[](much, std::align_val_t{64}); }));
    CHECK(::operator new(much, std::nothrow) == nullptr);
    CHECK(::operator new[](much, std::nothrow) == nullptr);
    CHECK(::operator new(much, std::align_val_t{64}, std::nothrow) == nullptr);
    CHECK(::operator new[](much, std::align_val_t{64}, std::nothrow) == nullptr);
}

int handled;

void give_up_at_the_third()
{
    if (++handled == 3)
        std::set_new_handler(nullptr);
}

void throw_at_once()
{
    ++handled;
    throw std::bad_alloc();
}

template <typename Call> int calls_of(std::new_handler handler, Call call)
{
    handled = 0;
    std::set_new_handler(handler);
    call();
    std::set_new_handler(nullptr);
    return handled;
}

void the_handler_is_called_until_it_gives_up()
{
    std::size_t much = opaque(too_large);
    std::align_val_t a{128};

    CHECK(calls_of(give_up_at_the_third, [=] { CHECK(throws_bad_alloc([=] { return ::operator new(much); })); }) == 3);
    CHECK(calls_of(give_up_at_the_third, [=] { CHECK(throws_bad_alloc([=] { return ::operator new(much, a); })); }) == 3);
    CHECK(calls_of(give_up_at_the_third, [=] { CHECK(!::operator new(much, std::nothrow)); }) == 3);
    CHECK(calls_of(give_up_at_the_third, [=] { CHECK(!::operator new[](much, a, std::nothrow)); }) == 3);
}

void what_a_handler_throws_reaches_the_caller_or_is_nothing()
{
    std::size_t much = opaque(too_large);

    CHECK(calls_of(throw_at_once, [=] { CHECK(throws_bad_alloc([=] { return ::operator new[](much); })); }) == 1);
    CHECK(calls_of(throw_at_once, [=] { CHECK(!::operator new(much, std::nothrow)); }) == 1);
    CHECK(calls_of(throw_at_once, [=] { CHECK(!::operator new(much, std::align_val_t{64}, std::nothrow)); }) == 1);
}

void containers_of_overaligned_things_work()
{
    struct alignas(256) Wide {
        char bytes[256];
    };
    std::vector<Wide> wide;
    std::vector<std::string> texts;
    for (int i = 0; i < 3000; i++) {
        wide.emplace_back();
        texts.push_back(std::string(static_cast<std::size_t>(i), 'x'));
        CHECK(reinterpret_cast<std::uintptr_t>(&wide.back()) % 256 == 0);
    }
    for (std::size_t i = 0; i < texts.size(); i++)
        CHECK(texts[i].size() == i && texts[i].find_first_not_of('x') == std::string::npos);
}

} // namespace

int main()
{
    every_form_allocates_and_releases();
    without_a_handler_failure_is_bad_alloc();
    the_handler_is_called_until_it_gives_up();
    what_a_handler_throws_reaches_the_caller_or_is_nothing();
    containers_of_overaligned_things_work();
    return failed_checks != 0;
}
