#include <asx/raptorq/alloc.h>
#include <asx/raptorq/error.h>
#include <asx/raptorq/net/frame.h>
#include <asx/raptorq/net/journal.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct asx_rq_journal {
    const char *path;
    int fd;
    uint64_t size; /* of the file: whole datagrams */
    asx_err err;   /* of a write; nothing is written after it */
    size_t len;
    uint8_t buffer[ASX_RQ_JOURNAL_BUFFER];
};

/* A regular file, for this process alone. */
static asx_err take_file(const char *path, int *fd)
{
    struct stat stat_of;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (*fd < 0) {
        return asx_err_errno(errno);
    }
    asx_err err = ASX_OK;
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0 || fstat(*fd, &stat_of) != 0) {
        err = asx_err_errno(errno);
    } else if (!S_ISREG(stat_of.st_mode)) {
        err = asx_err_errno(EINVAL);
    }
    if (err != ASX_OK) {
        close(*fd);
    }
    return err;
}

asx_err asx_rq_journal_open(asx_rq_journal **result, const char *path)
{
    asx_rq_journal *journal = asx_rq_alloc_get(NULL, sizeof(*journal));
    if (journal == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    journal->path = path;
    journal->size = 0;
    journal->len = 0;
    journal->err = ASX_OK;
    const asx_err err = take_file(path, &journal->fd);
    if (err != ASX_OK) {
        asx_rq_alloc_put(NULL, journal, sizeof(*journal));
        return err;
    }
    *result = journal;
    return ASX_OK;
}

/* Bytes of the datagram that begins here, or 0 when no whole one does. */
static size_t datagram_len(const uint8_t *bytes, uint64_t left)
{
    if (left < ASX_RQ_FRAME_HEAD) {
        return 0;
    }
    const size_t tag = (bytes[5] & 1) != 0 ? ASX_RQ_FRAME_TAG : 0;
    const size_t len = (size_t)ASX_RQ_FRAME_HEAD + asx_load_be16(bytes + 6) + tag;
    asx_rq_frame frame;
    return len <= left && asx_rq_frame_decode(&frame, bytes, len) == ASX_RQ_FRAME_OK ? len : 0;
}

/* Returns how far whole datagrams go. */
static uint64_t hear_all(asx_rq_receiver *receiver, const uint8_t *bytes, uint64_t size)
{
    uint64_t at = 0;
    for (;;) {
        const size_t len = datagram_len(bytes + at, size - at);
        if (len == 0) {
            return at;
        }
        if (asx_rq_receiver_hear(receiver, bytes + at, len)) {
            asx_rq_receiver_work(receiver);
        }
        at += len;
    }
}

asx_err asx_rq_journal_replay(asx_rq_journal *journal, asx_rq_receiver *receiver)
{
    asx_assert_eq(asx_rq_receiver_state_of(receiver), ASX_RQ_RECEIVER_WAITING);
    struct stat stat_of;
    if (fstat(journal->fd, &stat_of) != 0) {
        return asx_err_errno(errno);
    }
    if (stat_of.st_size == 0) {
        return ASX_OK;
    }
    const uint64_t size = (uint64_t)stat_of.st_size;
    uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, journal->fd, 0);
    if (bytes == MAP_FAILED) {
        return asx_err_errno(errno);
    }
    (void)madvise(bytes, size, MADV_SEQUENTIAL);
    journal->size = hear_all(receiver, bytes, size);
    munmap(bytes, size);
    if (asx_rq_receiver_state_of(receiver) == ASX_RQ_RECEIVER_WAITING) {
        return ASX_RQ_E(BAD_JOURNAL);
    }
    return ftruncate(journal->fd, (off_t)journal->size) == 0 ? ASX_OK : asx_err_errno(errno);
}

bool asx_rq_journal_add(asx_rq_journal *journal, const uint8_t *bytes, size_t len)
{
    asx_assert_le(len, ASX_RQ_JOURNAL_BUFFER);
    if (journal->err != ASX_OK) {
        return true; /* dropped */
    }
    if (len > sizeof(journal->buffer) - journal->len) {
        return false;
    }
    memcpy(journal->buffer + journal->len, bytes, len);
    journal->len += len;
    return true;
}

bool asx_rq_journal_is_empty(const asx_rq_journal *journal)
{
    return journal->len == 0;
}

asx_err asx_rq_journal_write(asx_rq_journal *journal)
{
    size_t at = 0;
    while (journal->err == ASX_OK && at < journal->len) {
        const ssize_t n = pwrite(journal->fd, journal->buffer + at, journal->len - at,
                                 (off_t)(journal->size + at));
        if (n > 0) {
            at += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            journal->err = asx_err_errno(n == 0 ? ENOSPC : errno);
            (void)!ftruncate(journal->fd, (off_t)journal->size); /* replay stops there anyway */
        }
    }
    journal->size += journal->err == ASX_OK ? at : 0;
    journal->len = 0;
    return journal->err;
}

bool asx_rq_journal_close(asx_rq_journal *journal, bool is_over)
{
    if (!is_over) {
        (void)!asx_rq_journal_write(journal); /* what was written before is kept */
    }
    struct stat stat_of;
    const bool is_kept = !is_over && fstat(journal->fd, &stat_of) == 0 && stat_of.st_size > 0;
    if (!is_kept) {
        (void)unlink(journal->path);
    }
    close(journal->fd);
    asx_rq_alloc_put(NULL, journal, sizeof(*journal));
    return is_kept;
}
