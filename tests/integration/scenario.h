#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The main of every scenario program. What a soak does for some seconds it does for as long as it
 * takes where the environment says how much: SOAK_CLIENTS=1000.
 */

#include "tests/integration/harness.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <unistd.h>

#define SCENARIO_RUN(name, ...)                                                                    \
        int main(void) {                                                                           \
                const TTest *const tests[] = {__VA_ARGS__};                                        \
                                                                                                   \
                return scenario_run(name, tests, sizeof tests / sizeof *tests);                    \
        }

/* In seconds, 0: none. */
static inline unsigned scenario_time_limit(void) {
        for (char **variable = environ; *variable; variable++)
                if (!strncmp(*variable, "SOAK_", 5))
                        return 0;
        return HARNESS_TEST_S;
}

static inline int scenario_run(const char *name, const TTest *const *tests, size_t n) {
        Suite *suite = suite_create(name);

        for (size_t i = 0; i < n; i++) {
                TCase *tcase = tcase_create(tests[i]->name);

                tcase_set_timeout(tcase, scenario_time_limit());
                tcase_add_test(tcase, tests[i]);
                suite_add_tcase(suite, tcase);
        }
        return unit_run(suite);
}
