// SPDX-License-Identifier: MIT
// What a runtime needs from the code that is generated around a suspension: its stack, its frame, its thread.
#include "probe.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

namespace probe {
namespace {

// Constant stack. GCC jumps only as a tail call, which it does not make without optimisation or with a sanitizer.

#if defined(__GNUC__) && !defined(__clang__) && \
    (!defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
constexpr bool transfers_are_jumps = false;
#else
constexpr bool transfers_are_jumps = true;
#endif

__attribute__((noinline)) const char* stack_address() {
    return static_cast<const char*>(__builtin_frame_address(0));
}

Task<const char*> where_it_runs() {
    co_return stack_address();
}

std::string symmetric_transfer_uses_constant_stack() {
    static std::ptrdiff_t grown = 0;
    constexpr int awaits = 4'000;
    const auto body = []() -> Task<void> {
        const char* const first = co_await where_it_runs();
        const char* last = first;
        for (int i = 0; i < awaits; ++i) {
            last = co_await where_it_runs();
        }
        grown = std::abs(first - last);
    };
    Task<void> task = body();
    task.start();
    if (!task.done()) {
        return "did not come to its end";
    }
    if (grown < awaits) {
        return {};
    }
    return "the stack grows by " + std::to_string(grown / awaits) + " bytes with each await";
}

// A frame that is destroyed while its coroutine is being suspended.

struct Graveyard {
    static constexpr unsigned char poison = 0xDD;

    void* block = nullptr;
    std::size_t size = 0;

    ~Graveyard() { std::free(block); }

    bool touched() const {
        const auto* bytes = static_cast<const unsigned char*>(block);
        for (std::size_t i = 0; i < size; ++i) {
            if (bytes[i] != poison) {
                return true;
            }
        }
        return false;
    }
};

Graveyard graveyard;

struct DestroyItself {
    DestroyItself() noexcept {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) const noexcept { coroutine.destroy(); }
    void await_resume() const noexcept {}
};

struct DestroyItselfAndTransfer {
    DestroyItselfAndTransfer() noexcept {}
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> coroutine) const noexcept {
        coroutine.destroy();
        return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
};

template <class AtTheEnd>
struct Detached {
    struct promise_type {
        Detached get_return_object() noexcept {
            return Detached{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        AtTheEnd final_suspend() noexcept { return AtTheEnd(); }
        void return_void() noexcept {}
        void unhandled_exception() noexcept {}

        // Kept and poisoned: what the generated code still writes to the frame shows. Not inlined, for GCC 12 would see
        // a delete of malloc's memory and warn.
        __attribute__((noinline)) static void* operator new(std::size_t size) { return std::malloc(size); }
        __attribute__((noinline)) static void operator delete(void* block, std::size_t size) noexcept {
            std::memset(block, Graveyard::poison, size);
            std::free(graveyard.block);
            graveyard.block = block;
            graveyard.size = size;
        }
    };

    std::coroutine_handle<promise_type> coroutine;
};

Detached<DestroyItself> ends_by_final_awaiter() {
    const Obj object(1);
    co_return;
}

Detached<DestroyItselfAndTransfer> ends_by_transferring_final_awaiter() {
    const Obj object(1);
    co_return;
}

Detached<DestroyItself> ends_half_way() {
    const Obj object(1);
    co_await DestroyItself();
    expect(false, "went on after its end");
}

Detached<DestroyItselfAndTransfer> ends_half_way_transferring() {
    const Obj object(1);
    co_await DestroyItselfAndTransfer();
    expect(false, "went on after its end");
}

// Not inlined: a frame that is seen to end within its caller may be put into the caller's frame, and there is no block.
__attribute__((noinline)) void resume(std::coroutine_handle<> coroutine) {
    coroutine.resume();
}

template <auto Function>
std::string frame_is_left_alone() {
    Obj::reset();
    resume(Function().coroutine);
    const Findings findings = Obj::findings();
    if (!findings.clean()) {
        return "the locals were not destroyed once each";
    }
    if (graveyard.block == nullptr) {
        return "the frame was not freed";
    }
    if (graveyard.touched()) {
        return "the frame was written to after it had been freed";
    }
    return {};
}

// A header in front of the frame, put there by the promise's operator new.

struct Header {
    static constexpr std::size_t magic = 0x5350'4152'4749'4F21;
    alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) std::size_t word = 0;
};

void destroy_inline(std::coroutine_handle<> coroutine) {
    coroutine.destroy();
}

__attribute__((noinline)) void destroy_out_of_line(std::coroutine_handle<> coroutine) {
    coroutine.destroy();
}

template <auto Destroy>
class HeaderTask {
public:
    struct promise_type : detail::PromiseBase {
        __attribute__((noinline)) static void* operator new(std::size_t size) {
            // Cleared, so that what stood in freed memory cannot pass for a header.
            return new (std::calloc(1, sizeof(Header) + size)) Header{Header::magic} + 1;
        }
        __attribute__((noinline)) static void operator delete(void* frame) noexcept {
            Header* const header = static_cast<Header*>(frame) - 1;
            header->word = 0;
            std::free(header);
        }
        HeaderTask get_return_object() noexcept {
            return HeaderTask(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        void return_void() noexcept {}
    };

    explicit HeaderTask(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}
    HeaderTask(HeaderTask&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    HeaderTask& operator=(HeaderTask&&) = delete;
    ~HeaderTask() {
        if (coroutine_) {
            Destroy(coroutine_);
        }
    }

    bool await_ready() const noexcept {
        expect((static_cast<const Header*>(coroutine_.address()) - 1)->word == Header::magic,
               "the frame was put elsewhere, without the header");
        return false;
    }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
        coroutine_.promise().continuation = awaiting;
        return coroutine_;
    }
    void await_resume() const noexcept {}

private:
    std::coroutine_handle<promise_type> coroutine_;
};

template <auto Destroy>
HeaderTask<Destroy> with_header() {
    co_return;
}

template <auto Destroy>
Task<void> frame_has_its_header(Gate&) {
    co_await with_header<Destroy>();
}

// The thread that goes on may be another.

thread_local int mark;

const void* address_inlined() {
    return &mark;
}

// The empty asm keeps the compiler from merging the calls; the address itself it may still know.
__attribute__((noinline)) const void* address_out_of_line() {
    asm volatile("" ::: "memory");
    return &mark;
}

__attribute__((noinline)) const void* address_hidden() {
    const void* address = &mark;
    asm volatile("" : "+r"(address)::"memory");
    return address;
}

thread_local const void* pointer;

// How the library asks for the current shard.
__attribute__((noinline)) const void* value_out_of_line() {
    asm volatile("" ::: "memory");
    if (pointer == nullptr) {
        pointer = address_hidden();
    }
    return pointer;
}

template <auto Address>
Task<void> read_on_two_threads(Gate& gate) {
    const void* const before = Address();
    co_await gate;
    const void* const after = Address();
    expect(before != after, "the second thread gets the variable of the first");
}

template <auto Address>
std::string thread_local_is_looked_up_again() {
    Obj::reset();
    Gate gate;
    Task<void> task = read_on_two_threads<Address>(gate);
    task.start();
    std::thread([&] { gate.open(); }).join();
    return Obj::findings().other;
}

}  // namespace

std::vector<Pattern> patterns_of_the_machine() {
    using enum Class;
    using enum Isolation;
    const char* const value = "return the value from a function that is not inlined; keep no reference across an await";
    const char* const trampoline =
        "compile with -O2 or -foptimize-sibling-calls, which spargio's CMake target gives to GCC";
    const char* const own_frame =
        "leave the frame to somebody else, such as the loop that resumed it; GCC 15.2 is known for this";
    const char* const header =
        "destroy the frame in a function that is not inlined, else Clang may place it in the caller's";
    return {
        {"the address of a thread_local, inlined, before and after an await", Avoid, Child, true, true, value,
         thread_local_is_looked_up_again<address_inlined>},
        {"the address of a thread_local from a function that is not inlined", Avoid, Child, false, true, value,
         thread_local_is_looked_up_again<address_out_of_line>},
        {"the address of a thread_local hidden behind an empty asm", ReliedOn, Child, false, false, value,
         thread_local_is_looked_up_again<address_hidden>},
        {"the value of a thread_local from a function that is not inlined", ReliedOn, Child, false, false, value,
         thread_local_is_looked_up_again<value_out_of_line>},
        {"a header in front of a frame that is destroyed in line", Avoid, Child, false, true, header,
         exercised<frame_has_its_header<destroy_inline>>},
        {"a header in front of a frame that is destroyed out of line", ReliedOn, Child, false, false, header,
         exercised<frame_has_its_header<destroy_out_of_line>>},
        {"symmetric transfer with constant stack", transfers_are_jumps ? ReliedOn : Avoid, Child, true, false,
         trampoline, symmetric_transfer_uses_constant_stack},
        {"a final awaiter that destroys its own frame", ReliedOn, Child, false, false, own_frame,
         frame_is_left_alone<ends_by_final_awaiter>},
        {"a final awaiter that destroys its own frame and transfers", ReliedOn, Child, false, false, own_frame,
         frame_is_left_alone<ends_by_transferring_final_awaiter>},
        {"an await_suspend that destroys its own frame", ReliedOn, Child, false, false, own_frame,
         frame_is_left_alone<ends_half_way>},
        {"an await_suspend that destroys its own frame and transfers", ReliedOn, Child, false, false, own_frame,
         frame_is_left_alone<ends_half_way_transferring>},
    };
}

}  // namespace probe
