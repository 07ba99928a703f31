/* The narrator: a run as a person would tell it, a line for each stretch of one shard's turns.
 *
 *     shard 1: runs T 1.3; sends to 0 (2 times); T 1.3 waits
 *     clock: 2.000000 ms
 *
 * Owner.  The caller; it hears one run, between init and end. */
#ifndef ASX_LAB_NARRATOR_H
#define ASX_LAB_NARRATOR_H

#include <asx/lab/lab.h>

ASX_BEGIN_DECLS

typedef struct asx_narrator {
    asx_lab_listener listener; /* first; give it to the run */
    FILE *_out;
    uint32_t _shard; /* whose stretch is being told */
    bool _telling;
    char _last[64]; /* what was said last, and how often */
    uint32_t _times;
} asx_narrator;

void asx_narrator_init(asx_narrator *narrator, FILE *out);
/* Ends the last line. */
void asx_narrator_end(asx_narrator *narrator);

ASX_END_DECLS

#endif
