#include "signal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

static_assert(sizeof(struct signalfd_siginfo) == ASX_SIGNAL_RECORD_SIZE, "signalfd(2)");

asx_err asx_signal_open(const int *signals, size_t count, int32_t *fd)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        if (sigaddset(&set, signals[i]) != 0) {
            return asx_err_errno(errno);
        }
    }
    const int made = signalfd(-1, &set, SFD_CLOEXEC);
    if (made < 0) {
        return asx_err_errno(errno);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *fd = made;
    return ASX_OK;
}

bool asx_signal_decode(const void *bytes, size_t len, asx_signal *signal)
{
    struct signalfd_siginfo info;
    if (len < sizeof(info)) {
        return false;
    }
    memcpy(&info, bytes, sizeof(info));
    *signal = (asx_signal){
        .number = (int32_t)info.ssi_signo,
        .code = info.ssi_code,
        .pid = info.ssi_pid,
        .uid = info.ssi_uid,
        .status = info.ssi_status,
    };
    return true;
}
