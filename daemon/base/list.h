#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Intrusive doubly linked list
 *
 * A list is a ring through its head. An entry that is in no list is linked to itself, so that
 * unlinking it twice is harmless. A member that is a link names the list it hangs in:
 * `List link; // session.spans`.
 */

#include <stdbool.h>
#include <stddef.h>

typedef struct List List;
struct List {
        List *next;
        List *previous;
};

#define list_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))
#define list_for_each(link, head)                                                                  \
        for (List *link = (head)->next; link != (head); link = link->next)
#define list_for_each_safe(link, head)                                                             \
        for (List *link = (head)->next, *link##_next = link->next; link != (head);                 \
             link = link##_next, link##_next = link->next)

static inline void list_init(List *list) {
        list->next = list->previous = list;
}

static inline bool list_is_empty(const List *head) {
        return head->next == head;
}

static inline void list_unlink(List *link) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
        list_init(link);
}

static inline void list_append(List *head, List *link) {
        link->previous = head->previous;
        link->next = head;
        head->previous->next = link;
        head->previous = link;
}

static inline List *list_first(const List *head) {
        return list_is_empty(head) ? NULL : head->next;
}

/* Moves all of `from` to the end of `head`, in order. */
static inline void list_splice(List *head, List *from) {
        if (list_is_empty(from))
                return;
        from->next->previous = head->previous;
        head->previous->next = from->next;
        from->previous->next = head;
        head->previous = from->previous;
        list_init(from);
}
