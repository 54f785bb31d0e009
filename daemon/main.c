/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/config.h"
#include "daemon/daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

/* EXIT_SUCCESS, EXIT_FAILURE (failed while running) and: */
enum {
        MAIN_EXIT_USAGE = 2,
        MAIN_EXIT_CONFIG = 78, /* EX_CONFIG of sysexits.h */
};

static const char main_help[] =
        "catenad [--config FILE] [--check-config] [--dump-config] [--version] [--help]\n"
        "\n"
        "Takes spans from the programs of this machine and sends them on as OTLP.\n"
        "\n"
        "  --config FILE    read FILE instead of " CONFIG_DEFAULT_FILE "\n"
        "  --check-config   check the configuration and leave: 0, or 78 and what is wrong\n"
        "  --dump-config    print the whole configuration that is in force, and leave\n"
        "  --version        print the version, and leave\n"
        "  --help           print this, and leave\n"
        "\n"
        "Runs in the foreground and logs to stderr. SIGTERM: sends what it has, and leaves.\n"
        "Exit status: 0, 1 failed while running, 2 usage, 78 configuration.\n"
        "See catenad(8) and catenad.yaml(5).\n";

typedef struct MainOptions {
        const char *config; /* NULL: the default one, which may be missing */
        bool check, dump;
} MainOptions;

/* False: *statusp is what to exit with. */
static bool main_parse(MainOptions *options, int *statusp, int argc, char **argv) {
        static const struct option known[] = {
                {"config", required_argument, NULL, 'c'}, {"check-config", no_argument, NULL, 'k'},
                {"dump-config", no_argument, NULL, 'd'},  {"version", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},         {0},
        };
        int option;

        while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
                switch (option) {
                case 'c':
                        options->config = optarg;
                        break;
                case 'k':
                        options->check = true;
                        break;
                case 'd':
                        options->dump = true;
                        break;
                case 'v':
                        puts("catenad " CATENA_VERSION);
                        *statusp = EXIT_SUCCESS;
                        return false;
                case 'h':
                        fputs(main_help, stdout);
                        *statusp = EXIT_SUCCESS;
                        return false;
                default:
                        fputs("Try 'catenad --help'.\n", stderr);
                        *statusp = MAIN_EXIT_USAGE;
                        return false;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "catenad: unexpected '%s'\nTry 'catenad --help'.\n", argv[optind]);
                *statusp = MAIN_EXIT_USAGE;
                return false;
        }
        return true;
}

static int main_dump(const Config *config) {
        Buffer out = BUFFER_NULL;
        int r = config_dump(config, &out);

        if (!r)
                fwrite(out.data, 1, out.size, stdout);
        buffer_deinit(&out);
        return error_trace(r);
}

static int main_run(const MainOptions *options) {
        ConfigError error;
        Config *config;
        int r = config_load(&config, options->config ? options->config : CONFIG_DEFAULT_FILE,
                            options->config != NULL, &error);

        if (r > 0) {
                log_error("%s", error.text);
                return MAIN_EXIT_CONFIG;
        }
        if (!r && options->dump)
                r = main_dump(config);
        if (!r && !options->dump && !options->check) {
                log_configure(config->log.level, config->log.format);
                r = daemon_run(config);
        }
        if (r < 0) {
                error_print(stderr);
                return EXIT_FAILURE;
        }
        config_free(config);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        MainOptions options = {0};
        int status;

        if (main_parse(&options, &status, argc, argv))
                status = main_run(&options);
        if (fflush(stdout) || ferror(stdout)) {
                log_error("stdout cannot be written");
                status = EXIT_FAILURE;
        }
        return status;
}
