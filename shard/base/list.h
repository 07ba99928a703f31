/* Intrusive doubly linked lists: a node embedded in its owner, a head that is a node.
 *
 * A zero-filled node is unlinked; unlinking twice is allowed, linking twice is not. Nothing is
 * allocated and nothing is owned. */
#ifndef ASX_SHARD_BASE_LIST_H
#define ASX_SHARD_BASE_LIST_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct asx_list asx_list;
struct asx_list {
    asx_list *_prev, *_next;
};

ASX_INLINE void asx_list_init(asx_list *head)
{
    head->_prev = head;
    head->_next = head;
}

ASX_INLINE bool asx_list_empty(const asx_list *head)
{
    return head->_next == head;
}

ASX_INLINE bool asx_list_linked(const asx_list *node)
{
    return node->_next != NULL;
}

/* Whatever `node` held before. */
ASX_INLINE void asx_list_push_back_anew(asx_list *at, asx_list *node)
{
    asx_list *const prev = at->_prev;
    node->_prev = prev;
    node->_next = at;
    prev->_next = node;
    at->_prev = node;
}

ASX_INLINE void asx_list_insert_before(asx_list *at, asx_list *node)
{
    asx_debug_assert(!asx_list_linked(node));
    asx_list_push_back_anew(at, node);
}

ASX_INLINE void asx_list_push_back(asx_list *head, asx_list *node)
{
    asx_list_insert_before(head, node);
}

ASX_INLINE void asx_list_push_front(asx_list *head, asx_list *node)
{
    asx_list_insert_before(head->_next, node);
}

/* For a node of which another field says whether it is linked: it is left as it was, and may be
 * pushed anew. */
ASX_INLINE void asx_list_remove(const asx_list *node)
{
    asx_list *const prev = node->_prev;
    asx_list *const next = node->_next;
    asx_debug_assert(prev->_next == node && next->_prev == node);
    prev->_next = next;
    next->_prev = prev;
}

/* asx_list_remove, of the first. */
ASX_INLINE void asx_list_drop_front(asx_list *head, const asx_list *node)
{
    asx_list *const next = node->_next;
    asx_debug_assert(head->_next == node && node->_prev == head && next->_prev == node);
    head->_next = next;
    next->_prev = head;
}

ASX_INLINE void asx_list_unlink(asx_list *node)
{
    if (node->_next) {
        asx_list_remove(node);
        node->_prev = NULL;
        node->_next = NULL;
    }
}

/* The first node, unlinked, or NULL when empty. */
ASX_INLINE asx_list *asx_list_pop_front(asx_list *head)
{
    asx_list *const node = head->_next;
    if (node == head) {
        return NULL;
    }
    asx_list_unlink(node);
    return node;
}

ASX_INLINE asx_list *asx_list_first(const asx_list *head)
{
    return head->_next == head ? NULL : head->_next;
}

ASX_INLINE asx_list *asx_list_last(const asx_list *head)
{
    return head->_prev == head ? NULL : head->_prev;
}

/* Moves every node of `source` to the end of `target`; `source` is empty afterwards. */
ASX_INLINE void asx_list_splice_back(asx_list *target, asx_list *source)
{
    if (!asx_list_empty(source)) {
        source->_next->_prev = target->_prev;
        target->_prev->_next = source->_next;
        source->_prev->_next = target;
        target->_prev = source->_prev;
        asx_list_init(source);
    }
}

/* A list without a head: its owner holds the first node, or NULL. One word in place of two, for
 * those who always know the owner when a node goes. */
ASX_INLINE void asx_list_ring_push_back(asx_list **first, asx_list *node)
{
    if (*first) {
        asx_list_insert_before(*first, node);
    } else {
        asx_debug_assert(!asx_list_linked(node));
        asx_list_init(node);
        *first = node;
    }
}

ASX_INLINE void asx_list_ring_unlink(asx_list **first, asx_list *node)
{
    asx_debug_assert(*first != NULL && asx_list_linked(node));
    if (*first == node) {
        *first = node->_next == node ? NULL : node->_next;
    }
    asx_list_unlink(node);
}

/* The node behind `node`, or NULL behind the last. */
ASX_INLINE asx_list *asx_list_ring_next(asx_list *first, const asx_list *node)
{
    return node->_next == first ? NULL : node->_next;
}

#define asx_list_each(node, head) \
    for (asx_list *node = (head)->_next; node != (head); node = node->_next)

/* The body may unlink `node`, and nothing else of the list. */
#define asx_list_each_safe(node, head)                                                   \
    for (asx_list *node = (head)->_next, *asx_next_##node = node->_next; node != (head); \
         node = asx_next_##node, asx_next_##node = node->_next)

#endif
