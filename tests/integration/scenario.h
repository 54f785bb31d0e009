#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The main of every scenario program. */

#include "tests/integration/harness.h"
#include "tests/unit/unit.h"

#define SCENARIO_RUN(name, ...)                                                                    \
        int main(void) {                                                                           \
                const TTest *const tests[] = {__VA_ARGS__};                                        \
                                                                                                   \
                return scenario_run(name, tests, sizeof tests / sizeof *tests);                    \
        }

static inline int scenario_run(const char *name, const TTest *const *tests, size_t n) {
        Suite *suite = suite_create(name);

        for (size_t i = 0; i < n; i++) {
                TCase *tcase = tcase_create(tests[i]->name);

                tcase_set_timeout(tcase, HARNESS_TEST_S);
                tcase_add_test(tcase, tests[i]);
                suite_add_tcase(suite, tcase);
        }
        return unit_run(suite);
}
