/* The classic mistakes. Each piece compiles as it is; with its number in REFUSED it must not, and
 * the compiler must say what stands behind "refused:". */
#include <asx/shard/combine/branch.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/typed.h>

typedef struct job {
    int id;
} job;

ASX_MPSC_TYPE(jobs, job)
ASX_ONESHOT_TYPE(one_job, job)
ASX_SESSION_TYPE(ask, job, int)

asx_outcome body(asx_cx *cx, void *arg);
int not_a_body(asx_cx *cx, void *arg);
asx_outcome forgets_the_cx(void *arg);
asx_outcome user(asx_cx *cx, job *j, void *untyped);

asx_outcome user(asx_cx *cx, job *j, void *untyped)
{
    jobs_sender tx;
    jobs_receiver rx;
    ASX_TRY(asx_fail(jobs_open(cx, 4, &tx, &rx)));
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        const asx_handle child = ASX_SPAWN(s, body, j);
        asx_task_fn *const pointer = body;
        (void)ASX_SPAWN(s, pointer, &(job){ .id = 2 });
        (void)ASX_SPAWN(s, body, &((job){ .id = j->id }));
        ASX_TRY(asx_join(&s->cx, child));
        ASX_TRY(ASX_JOIN(cx, ASX_BRANCH(body, j), ASX_BRANCH(pointer, &(job){ .id = 3 })));
        ASX_TRY(ASX_RACE(cx, ASX_BRANCH(body, j)));
        ASX_TRY(jobs_send(cx, tx, *j));
#if REFUSED == 1 /* refused: a body is asx_outcome fn */
        ASX_SPAWN(s, not_a_body, j);
#elif REFUSED == 2  /* refused: a body is asx_outcome fn */
        ASX_SPAWN(s, forgets_the_cx, j);
#elif REFUSED == 3  /* refused: a pointer to void does not say how much */
        ASX_SPAWN(s, body, untyped);
#elif REFUSED == 4  /* refused: a pointer to void does not say how much */
        ASX_SPAWN(s, body, NULL);
#elif REFUSED == 5  /* refused: (invalid type argument|indirection requires pointer) */
        ASX_SPAWN(s, body, *j);
#elif REFUSED == 6  /* refused: a body is asx_outcome fn */
        ASX_TRY(ASX_RACE(cx, ASX_BRANCH(not_a_body, j)));
#elif REFUSED == 7  /* refused: a pointer to void does not say how much */
        ASX_TRY(ASX_JOIN(cx, ASX_BRANCH(body, untyped)));
#elif REFUSED == 8  /* refused: unused|ignoring return value */
        asx_join(&s->cx, child);
#elif REFUSED == 9  /* refused: unused|ignoring return value */
        jobs_send(cx, tx, *j);
#elif REFUSED == 10 /* refused: incompatible type */
        ASX_TRY(jobs_send(cx, tx, 7));
#elif REFUSED == 11 /* refused: incompatible type */
        ASX_TRY(jobs_send(cx, rx, *j));
#elif REFUSED == 12 /* refused: incompatible (pointer )?type */
        ASX_TRY(jobs_recv(cx, rx, (int *)untyped));
#elif REFUSED == 13 /* refused: incompatible type|invalid initializer */
        ASX_TRY(not_a_body(cx, j));
#elif REFUSED == 14 /* refused: incompatible type */
        ASX_TRY(asx_join(&s->cx, s));
#elif REFUSED == 15 /* refused: redefinition|redeclaration|shadow */
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        }
#endif
    }
#if REFUSED == 16 /* refused: undeclared */
    asx_scope_cancel(s, ASX_CANCEL_USER, "after its block");
#elif REFUSED == 17 /* refused: unused|ignoring return value */
    asx_mutex lock;
    asx_mutex_open(cx, NULL, &lock);
#elif REFUSED == 18 /* refused: incompatible type */
    one_job_sender one = { 0 };
    ASX_TRY(asx_fail(one_job_send(cx, one, j)));
#elif REFUSED == 19 /* refused: incompatible (pointer )?type */
    ask_client client = { 0 };
    ASX_TRY(ask_request(cx, client, *j, j, NULL));
#endif
    (void)untyped;
    return asx_ok(0);
}
