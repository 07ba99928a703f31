// The main of every test program. A case that starts a thread has the tag [threads]: where a run
// takes minutes, ThreadSanitizer gets those alone, for in one thread it has nothing to see. Whether
// the tag is missing is found in a plain build, where creating a thread passes here.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_NO_POSIX_SIGNALS /* the kernel has its own handler on an alternate stack */
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <dlfcn.h>
#include <pthread.h>

namespace
{
std::atomic<int> threads_started;
int cases_untagged;

struct Threads : Catch::TestEventListenerBase {
    using TestEventListenerBase::TestEventListenerBase;

    void testCaseStarting(const Catch::TestCaseInfo &info) override
    {
        TestEventListenerBase::testCaseStarting(info);
        threads_started = 0;
    }

    void testCaseEnded(const Catch::TestCaseStats &stats) override
    {
        const auto &tags = stats.testInfo.lcaseTags;
        if (threads_started != 0 && std::find(tags.begin(), tags.end(), "threads") == tags.end()) {
            Catch::cerr() << "FAILED: it starts a thread, and lacks the tag [threads]: "
                          << stats.testInfo.name << '\n';
            cases_untagged++;
        }
    }
};
CATCH_REGISTER_LISTENER(Threads)
} // namespace

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
extern "C" int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                              void *arg)
{
    static const auto create =
        reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
    threads_started++;
    return create(thread, attr, run, arg);
}
#endif

int main(int argc, char **argv)
{
    const int failed = Catch::Session().run(argc, argv);
    return failed != 0 ? failed : cases_untagged;
}
