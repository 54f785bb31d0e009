#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The main of every unit test: runs one suite and prints TAP. */

#include <check.h>
#include <stdlib.h>

static inline int unit_run(Suite *suite) {
        SRunner *runner = srunner_create(suite);
        int n_failed;

        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
