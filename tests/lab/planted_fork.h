/* A piece of a test in a process of its own, because it may kill it or break what it runs in. */
#ifndef ASX_TESTS_LAB_PLANTED_FORK_H
#define ASX_TESTS_LAB_PLANTED_FORK_H

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <type_traits>
#include <unistd.h>

/* What the kernel says while it is being broken is nobody's concern. */
struct planted_quiet {
    int kept;

    planted_quiet() : kept(dup(2))
    {
        const int none = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(none, 2);
        close(none);
    }
    ~planted_quiet()
    {
        dup2(kept, 2);
        close(kept);
    }
};

/* Calls body(result) in a child; *result is what it left, however it ended. Returns the wait
 * status. */
template <class T, class Body> int planted_fork(T *result, Body body)
{
    static_assert(std::is_trivially_copyable<T>::value, "it travels as bytes");
    planted_quiet hush;
    void *memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    T *shared = new (memory) T(*result);
    const pid_t pid = fork();
    if (pid == 0) {
        body(shared);
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    *result = *shared;
    munmap(memory, sizeof(T));
    return status;
}

#endif
