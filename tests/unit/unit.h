#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The main of every unit test: runs one suite and prints TAP; and how long it may be made. */

#include <check.h>
#include <stdlib.h>

/* How much of something there is to be, as the environment says. */
static inline unsigned long unit_amount(const char *variable, unsigned long usual) {
        const char *text = getenv(variable);

        return text ? strtoul(text, NULL, 10) : usual;
}

static inline int unit_run(Suite *suite) {
        SRunner *runner = srunner_create(suite);
        int n_failed;

        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
