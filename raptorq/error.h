/* The codec's error codes: what a peer or a caller's parameters can cause.
 *
 * Model.   Two classes. "More" errors end when further symbols arrive; the others are final for
 *          these inputs. asx_rq_err_retry() tells them apart.
 */
#ifndef ASX_RAPTORQ_ERROR_H
#define ASX_RAPTORQ_ERROR_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>

ASX_BEGIN_DECLS

#define ASX_RQ_ERR_LIST(X)                                                      \
    X(1, TOO_FEW)         /* fewer than K distinct symbols: more will help */   \
    X(2, RANK)            /* the received rows are dependent: more will help */ \
    X(3, BAD_K)           /* K is 0 or above 56403 */                           \
    X(4, BAD_OTI)         /* transfer information no sender can have meant */   \
    X(5, BAD_ESI)         /* above 2^24 - 1 */                                  \
    X(6, BAD_SBN)         /* no such block in this object */                    \
    X(7, BAD_SIZE)        /* a payload that is no whole symbol */               \
    X(8, DUPLICATE)       /* same symbol again, same bytes */                   \
    X(9, CONFLICT)        /* same symbol again, other bytes */                  \
    X(10, DONE)           /* the block is decoded, nothing more is wanted */    \
    X(11, FULL)           /* the buffer limit of the block is reached */        \
    X(12, CORRUPT)        /* a received equation contradicts the solution */    \
    X(13, NO_MEMORY)      /* the allocator refused */                           \
    X(14, TOO_LARGE)      /* the object does not fit its limits */              \
    X(15, WORKING_MEMORY) /* no sub-blocking fits the working memory (4.3) */   \
    X(16, SYMBOL_SIZE)    /* symbol size 0, above 65535, or not a multiple */   \
    X(17, BAD_PLAN)       /* serialised plan damaged or of another version */   \
    X(18, OVER_BUDGET)    /* the solve would exceed the work allowed for K' */  \
    X(19, BLOCKS_BUSY)    /* more blocks in progress than the limit */          \
    X(20, PROOF_MISMATCH) /* proof and symbols disagree */                      \
    X(21, BAD_KEY)        /* a key that is none, or that nobody drew */         \
    X(22, REFUSED)        /* the other end will not take the object */          \
    X(23, SILENCE)        /* nothing was heard for as long as was allowed */    \
    X(24, BAD_JOURNAL)    /* of no object that this receiver takes */

typedef enum asx_rq_err {
#define X(code, name) ASX_RQ_ERR_##name = (code),
    ASX_RQ_ERR_LIST(X)
#undef X
} asx_rq_err;

/* ASX_RQ_E(RANK) is the asx_err of the codec's code RANK. */
#define ASX_RQ_E(name) ASX_ERR(ASX_ERR_DOMAIN_RAPTORQ, ASX_RQ_ERR_##name)

/* NULL for a code that is not the codec's. Has the shape asx_err_domain_register() asks for. */
const char *asx_rq_err_name(uint32_t code);

/* Would further symbols turn this error into success? */
bool asx_rq_err_retry(asx_err err);

ASX_END_DECLS

#endif
