/* The sleep protocol of shard/mesh.h: two senders, one target, a sticky doorbell.
 *
 * Every access is one step in one order, which is what sequentially consistent means. Proved: the
 * target never blocks for ever while a message waits (an invalid end state), each sleep is rung at
 * most once, and every message is received.
 *
 * MUTANT_NO_RECHECK   the target blocks without looking at its inboxes again
 * MUTANT_FLAG_LATE    the target looks first and then sets the word
 * MUTANT_LOOK_EARLY   the sender looks at the word before it publishes
 * Each must end in an invalid end state. */
#define SENDERS 2
#define MESSAGES 2

byte published[SENDERS];
byte received[SENDERS];
bit sleeping = 0;
bit bell = 0; /* sticky: set until the target takes it */
byte rung = 0; /* since the last sleep_begin */

#define INBOX_QUIET (published[0] == received[0] && published[1] == received[1])
#define ALL_RECEIVED (received[0] == MESSAGES && received[1] == MESSAGES)

inline wake_if_needed(seen)
{
    if
    :: seen ->
        atomic { /* the exchange */
            seen = sleeping;
            sleeping = 0;
            rung = rung + seen;
            assert(rung <= 1);
        }
        if
        :: seen -> bell = 1
        :: else
        fi
    :: else
    fi
}

proctype sender(byte self)
{
    byte i = 0;
    bit seen = 0;
    do
    :: i < MESSAGES ->
#ifdef MUTANT_LOOK_EARLY
        seen = sleeping;
        published[self]++;
#else
        published[self]++;
        seen = sleeping;
#endif
        wake_if_needed(seen);
        i++
    :: else -> break
    od
}

proctype target()
{
    bit quiet;
    do
    :: ALL_RECEIVED -> break
    :: else ->
        received[0] = published[0];
        received[1] = published[1];
        if
        :: ALL_RECEIVED -> break
        :: else
        fi;
#ifdef MUTANT_FLAG_LATE
        quiet = INBOX_QUIET;
#endif
        atomic { sleeping = 1; rung = 0; }
#ifdef MUTANT_NO_RECHECK
        quiet = 1;
#endif
#if !defined(MUTANT_NO_RECHECK) && !defined(MUTANT_FLAG_LATE)
        quiet = published[0] == received[0];
        quiet = quiet && published[1] == received[1];
#endif
        if
        :: quiet -> bell == 1; bell = 0 /* blocks in the driver's one wait */
        :: else
        fi;
        sleeping = 0
    od
}

init
{
    atomic {
        run sender(0);
        run sender(1);
        run target();
    }
}
