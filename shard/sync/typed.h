/* Channels of one type, so that nobody casts: what ASX_MPSC_TYPE is for queues, for the others.
 *
 *     ASX_ONESHOT_TYPE(answer, struct answer)
 *     answer_sender tx; answer_receiver rx;
 *     answer_open(cx, &tx, &rx);  answer_send(cx, tx, value);  answer_recv(cx, rx, &value);
 *
 * Each macro makes types and functions that begin with `name`. What they do not wrap takes the
 * `.end` inside; errors and cancellation are those of the function each stands for. */
#ifndef ASX_SHARD_SYNC_TYPED_H
#define ASX_SHARD_SYNC_TYPED_H

#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/session.h>
#include <asx/shard/sync/watch.h>

#define ASX_TYPED ASX_NODISCARD ASX_UNUSED static inline

#define ASX_TYPED_ENDS(name, kind)   \
    typedef struct name##_sender {   \
        asx_##kind##_sender end;     \
    } name##_sender;                 \
    typedef struct name##_receiver { \
        asx_##kind##_receiver end;   \
    } name##_receiver;

#define ASX_ONESHOT_TYPE(name, type)                                                            \
    ASX_TYPED_ENDS(name, oneshot)                                                               \
    ASX_TYPED asx_err name##_open(asx_cx *cx, name##_sender *sender, name##_receiver *receiver) \
    {                                                                                           \
        const asx_oneshot_options options = { sizeof(type), NULL, #name };                      \
        return asx_oneshot_open(cx, &options, &sender->end, &receiver->end);                    \
    }                                                                                           \
    ASX_TYPED asx_err name##_send(asx_cx *cx, name##_sender sender, type item)                  \
    {                                                                                           \
        return asx_oneshot_send(cx, sender.end, &item);                                         \
    }                                                                                           \
    ASX_TYPED asx_outcome name##_recv(asx_cx *cx, name##_receiver receiver, type *item)         \
    {                                                                                           \
        return asx_oneshot_recv(cx, receiver.end, item);                                        \
    }                                                                                           \
    ASX_TYPED asx_err name##_try_recv(asx_cx *cx, name##_receiver receiver, type *item)         \
    {                                                                                           \
        return asx_oneshot_try_recv(cx, receiver.end, item);                                    \
    }

#define ASX_BROADCAST_TYPE(name, type)                                                  \
    ASX_TYPED_ENDS(name, broadcast)                                                     \
    ASX_TYPED asx_err name##_open(asx_cx *cx, uint32_t capacity, name##_sender *sender) \
    {                                                                                   \
        const asx_broadcast_options options = { capacity, sizeof(type), #name };        \
        return asx_broadcast_open(cx, &options, &sender->end);                          \
    }                                                                                   \
    ASX_TYPED asx_err name##_subscribe(asx_cx *cx, name##_sender sender,                \
                                       name##_receiver *receiver)                       \
    {                                                                                   \
        return asx_broadcast_subscribe(cx, sender.end, &receiver->end);                 \
    }                                                                                   \
    ASX_TYPED asx_outcome name##_send(asx_cx *cx, name##_sender sender, type item)      \
    {                                                                                   \
        return asx_broadcast_send(cx, sender.end, &item);                               \
    }                                                                                   \
    ASX_TYPED asx_outcome name##_recv(asx_cx *cx, name##_receiver receiver, type *item, \
                                      uint64_t *lagged)                                 \
    {                                                                                   \
        return asx_broadcast_recv(cx, receiver.end, item, lagged);                      \
    }                                                                                   \
    ASX_TYPED asx_err name##_try_recv(asx_cx *cx, name##_receiver receiver, type *item, \
                                      uint64_t *lagged)                                 \
    {                                                                                   \
        return asx_broadcast_try_recv(cx, receiver.end, item, lagged);                  \
    }

#define ASX_WATCH_TYPE(name, type)                                                              \
    ASX_TYPED_ENDS(name, watch)                                                                 \
    ASX_TYPED asx_err name##_open(asx_cx *cx, type initial, name##_sender *sender,              \
                                  name##_receiver *receiver)                                    \
    {                                                                                           \
        return asx_watch_open(cx, sizeof(type), &initial, #name, &sender->end, &receiver->end); \
    }                                                                                           \
    ASX_TYPED asx_err name##_subscribe(asx_cx *cx, name##_sender sender,                        \
                                       name##_receiver *receiver)                               \
    {                                                                                           \
        return asx_watch_subscribe(cx, sender.end, &receiver->end);                             \
    }                                                                                           \
    ASX_TYPED asx_err name##_set(asx_cx *cx, name##_sender sender, type value)                  \
    {                                                                                           \
        return asx_watch_set(cx, sender.end, &value);                                           \
    }                                                                                           \
    ASX_TYPED asx_outcome name##_changed(asx_cx *cx, name##_receiver receiver)                  \
    {                                                                                           \
        return asx_watch_changed(cx, receiver.end);                                             \
    }                                                                                           \
    ASX_TYPED const type *name##_borrow(asx_cx *cx, name##_receiver receiver)                   \
    {                                                                                           \
        return (const type *)asx_watch_borrow(cx, receiver.end);                                \
    }

/* name_next fills in the name_debt that name_reply or name_decline settles. */
#define ASX_SESSION_TYPE(name, request_type, reply_type)                                          \
    typedef struct name##_client {                                                                \
        asx_session_client end;                                                                   \
    } name##_client;                                                                              \
    typedef struct name##_server {                                                                \
        asx_session_server end;                                                                   \
    } name##_server;                                                                              \
    typedef struct name##_debt {                                                                  \
        asx_reply reply;                                                                          \
    } name##_debt;                                                                                \
    ASX_TYPED asx_err name##_open(asx_cx *cx, uint32_t capacity, name##_client *client,           \
                                  name##_server *server)                                          \
    {                                                                                             \
        const asx_session_options options = { capacity, sizeof(request_type), sizeof(reply_type), \
                                              #name };                                            \
        return asx_session_open(cx, &options, &client->end, &server->end);                        \
    }                                                                                             \
    ASX_TYPED asx_outcome name##_request(asx_cx *cx, name##_client client, request_type request,  \
                                         reply_type *reply, uint64_t *refusal)                    \
    {                                                                                             \
        return asx_session_request_until(cx, client.end, &request, reply, refusal,                \
                                         ASX_TIME_NEVER);                                         \
    }                                                                                             \
    ASX_TYPED asx_outcome name##_next(asx_cx *cx, name##_server server, request_type *request,    \
                                      name##_debt *debt)                                          \
    {                                                                                             \
        return asx_session_next_until(cx, server.end, request, &debt->reply, ASX_TIME_NEVER);     \
    }                                                                                             \
    ASX_TYPED asx_err name##_reply(asx_cx *cx, name##_debt debt, reply_type reply)                \
    {                                                                                             \
        return asx_reply_send(cx, debt.reply, &reply);                                            \
    }                                                                                             \
    ASX_UNUSED static inline void name##_decline(asx_cx *cx, name##_debt debt, uint64_t code)     \
    {                                                                                             \
        asx_reply_decline(cx, debt.reply, code);                                                  \
    }

#endif
