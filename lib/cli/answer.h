#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon's answers
 *
 * JSON from the control socket, read into plain values. Fields that are not known are passed over,
 * those that are missing or of another type count as unset, so that an older command reads a newer
 * daemon; only what is no JSON object is refused.
 *
 * Owns: an AnswerChain owns all that its tree points to.  I/O: none.
 */

#include "lib/cli/tree.h"

enum {
        _ANSWER_E_SUCCESS,

        ANSWER_E_MALFORMED, /* not a JSON object */
};

typedef struct AnswerChain AnswerChain;

int answer_chain_new(AnswerChain **answerp, const void *json, size_t size);
AnswerChain *answer_chain_free(AnswerChain *answer);
const TreeChain *answer_chain_tree(const AnswerChain *answer);
/* Contexts and spans that have not ended. */
size_t answer_chain_open(const AnswerChain *answer);

/* Whether the level that was asked for was reached. */
int answer_read_flush(bool *reachedp, const void *json, size_t size);

enum { ANSWER_TEXT_MAX = 512 };

/* Why a request was refused, in the daemon's words; "" if it has none. */
void answer_read_error(char text[ANSWER_TEXT_MAX], const void *json, size_t size);
