#include <asx/raptorq/landing.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = 1000, MODE = 0644 };

/* A file without a name in the target's directory; -1 where there is no such thing. */
static int open_nameless(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
    }
    const size_t len = slash == path ? 1 : (size_t)(slash - path);
    memcpy(dir, path, len);
    dir[len] = '\0';
    return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
}

static asx_err open_named(asx_rq_landing *landing)
{
    const int len =
        snprintf(landing->_temporary, sizeof(landing->_temporary), "%s.XXXXXX", landing->_path);
    if (len < 0 || (size_t)len >= sizeof(landing->_temporary)) {
        landing->_temporary[0] = '\0';
        return asx_err_errno(ENAMETOOLONG);
    }
    landing->_fd = mkostemp(landing->_temporary, O_CLOEXEC);
    if (landing->_fd < 0) {
        const int errnum = errno;
        landing->_temporary[0] = '\0';
        return asx_err_errno(errnum);
    }
    return ASX_OK;
}

static asx_err make_room(asx_rq_landing *landing)
{
    if (landing->size == 0) {
        return ASX_OK;
    }
    if (fallocate(landing->_fd, 0, 0, (off_t)landing->size) != 0) {
        const int errnum = errno;
        if (errnum != EOPNOTSUPP && errnum != ENOSYS) {
            return asx_err_errno(errnum);
        }
        if (ftruncate(landing->_fd, (off_t)landing->size) != 0) {
            return asx_err_errno(errno);
        }
    }
    void *data = mmap(NULL, landing->size, PROT_READ | PROT_WRITE, MAP_SHARED, landing->_fd, 0);
    if (data == MAP_FAILED) {
        return asx_err_errno(errno);
    }
    landing->data = data;
    return ASX_OK;
}

asx_err asx_rq_landing_open(asx_rq_landing *landing, const char *path, uint64_t size)
{
    landing->data = NULL;
    landing->size = size;
    landing->_temporary[0] = '\0';
    const size_t len = strlen(path);
    if (len >= sizeof(landing->_path)) {
        landing->_fd = -1;
        return asx_err_errno(ENAMETOOLONG);
    }
    memcpy(landing->_path, path, len + 1);
    struct stat stat_of;
    if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
        landing->_fd = -1;
        return asx_err_errno(EISDIR); /* told now, not after everything was received */
    }
    landing->_fd = open_nameless(path);
    asx_err err = landing->_fd < 0 ? open_named(landing) : ASX_OK;
    if (err == ASX_OK) {
        err = make_room(landing);
    }
    if (err != ASX_OK) {
        asx_rq_landing_close(landing);
    }
    return err;
}

/* Gives the file a temporary name: a link cannot replace what has the target's. */
static asx_err name_it(asx_rq_landing *landing)
{
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", landing->_fd);
    for (int i = 0; i < NAMES_MAX; i++) {
        const int len = snprintf(landing->_temporary, sizeof(landing->_temporary), "%s.%d.%d",
                                 landing->_path, (int)getpid(), i);
        if (len < 0 || (size_t)len >= sizeof(landing->_temporary)) {
            landing->_temporary[0] = '\0';
            return asx_err_errno(ENAMETOOLONG);
        }
        if (linkat(AT_FDCWD, self, AT_FDCWD, landing->_temporary, AT_SYMLINK_FOLLOW) == 0) {
            return ASX_OK;
        }
        const int errnum = errno;
        if (errnum != EEXIST) {
            landing->_temporary[0] = '\0';
            return asx_err_errno(errnum);
        }
    }
    landing->_temporary[0] = '\0';
    return asx_err_errno(EEXIST);
}

asx_err asx_rq_landing_commit(asx_rq_landing *landing)
{
    if (fchmod(landing->_fd, MODE) != 0 || fsync(landing->_fd) != 0) {
        return asx_err_errno(errno);
    }
    const asx_err err = landing->_temporary[0] == '\0' ? name_it(landing) : ASX_OK;
    if (err != ASX_OK) {
        return err;
    }
    if (rename(landing->_temporary, landing->_path) != 0) {
        return asx_err_errno(errno);
    }
    landing->_temporary[0] = '\0';
    return ASX_OK;
}

void asx_rq_landing_close(asx_rq_landing *landing)
{
    if (landing->data != NULL) {
        munmap(landing->data, landing->size);
        landing->data = NULL;
    }
    if (landing->_temporary[0] != '\0') {
        unlink(landing->_temporary);
        landing->_temporary[0] = '\0';
    }
    if (landing->_fd >= 0) {
        close(landing->_fd);
        landing->_fd = -1;
    }
}
