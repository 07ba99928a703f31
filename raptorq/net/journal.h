/* What came of a transfer, on disk: a receiver that dies goes on where it was.
 *
 * Model.   A file of the datagrams that counted, the OFFER first, as they came: each says its own
 *          length. A receiver that begins hears them again before any other, so that a journal is
 *          believed as little as a network is: tags are checked, blocks are decoded anew, and the
 *          first bytes that are no whole datagram end it. What was added but not written yet is
 *          lost with the process, and the sender is asked for it again.
 * Owner.   One thread at a time, and one process. All but add() wait for the disk.
 * Bounds.  ASX_RQ_JOURNAL_BUFFER bytes of memory; on disk the symbols and 44 bytes for each.
 */
#ifndef ASX_RAPTORQ_NET_JOURNAL_H
#define ASX_RAPTORQ_NET_JOURNAL_H

#include <asx/raptorq/net/receiver.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_JOURNAL_BUFFER ((size_t)256 << 10)

typedef struct asx_rq_journal asx_rq_journal;

/* Opens or creates the file, for this process alone.
 *
 * path    lent until close
 * errors  NO_MEMORY; an errno, EWOULDBLOCK when another process has it, EINVAL for no
 *         regular file
 */
ASX_NODISCARD asx_err asx_rq_journal_open(asx_rq_journal **journal, const char *path);

/* Lets a receiver that has heard nothing yet hear what is in the file, and cuts off behind it.
 *
 * errors  BAD_JOURNAL when the file begins with something that the receiver takes no object from:
 *         the file is left as it is; an errno
 */
ASX_NODISCARD asx_err asx_rq_journal_replay(asx_rq_journal *journal, asx_rq_receiver *receiver);

/* Takes a datagram; false when there is no room until write(). */
bool asx_rq_journal_add(asx_rq_journal *journal, const uint8_t *bytes, size_t len);
bool asx_rq_journal_is_empty(const asx_rq_journal *journal);

/* Writes what was added. After an error nothing more is taken or written, and the file ends where
 * it was whole.
 *
 * errors  an errno, the same from then on
 */
ASX_NODISCARD asx_err asx_rq_journal_write(asx_rq_journal *journal);

/* Writes what is left and closes the file; removes it when it is empty, and with `is_over`, since
 * nobody needs it any more. Is it still there? */
bool asx_rq_journal_close(asx_rq_journal *journal, bool is_over);

ASX_END_DECLS

#endif
