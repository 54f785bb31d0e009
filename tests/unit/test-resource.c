/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/resource.h"
#include "otlp/resource.pb-c.h"
#include "tests/unit/unit.h"

#include <string.h>

typedef Opentelemetry__Proto__Resource__V1__Resource OtlpResource;

static Buffer out;
static OtlpResource *resource;

static void teardown(void) {
        if (resource)
                protobuf_c_message_free_unpacked(&resource->base, NULL);
        resource = NULL;
        buffer_deinit(&out);
}

static void encode(int (*how)(Buffer *out, const ConfigResource *config), ConfigPair *pairs,
                   unsigned n) {
        teardown();
        ck_assert_int_eq(how(&out, &(ConfigResource){pairs, n}), 0);
        resource = opentelemetry__proto__resource__v1__resource__unpack(NULL, out.size, out.data);
        ck_assert_ptr_nonnull(resource);
}

/* NULL: it does not stand there exactly once. */
static const char *value(const char *key) {
        const char *found = NULL;
        unsigned n = 0;

        for (size_t i = 0; i < resource->n_attributes; i++)
                if (!strcmp(resource->attributes[i]->key, key)) {
                        found = resource->attributes[i]->value->string_value;
                        n++;
                }
        return n == 1 ? found : NULL;
}

START_TEST(what_is_added_is_what_is_configured) {
        ConfigPair pairs[] = {{(char *)"team", (char *)"shop"}, {(char *)"empty", (char *)""}};

        encode(resource_encode_added, NULL, 0);
        ck_assert_uint_eq(resource->n_attributes, 0);
        encode(resource_encode_added, pairs, 2);
        ck_assert_uint_eq(resource->n_attributes, 2);
        ck_assert_str_eq(value("team"), "shop");
        ck_assert_str_eq(value("empty"), "");
}
END_TEST

START_TEST(the_daemon_says_who_it_is) {
        char first[37];

        encode(resource_encode_own, NULL, 0);
        ck_assert_str_eq(value("service.name"), "catenad");
        ck_assert_str_eq(value("service.version"), CATENA_VERSION);
        ck_assert_ptr_nonnull(value("host.name"));
        ck_assert_uint_eq(strlen(value("service.instance.id")), 36);
        ck_assert_int_eq(value("service.instance.id")[14], '4');
        ck_assert_uint_eq(strspn(value("service.instance.id"), "0123456789abcdef-"), 36);
        strcpy(first, value("service.instance.id"));
        encode(resource_encode_own, NULL, 0);
        ck_assert_str_ne(value("service.instance.id"), first);
}
END_TEST

START_TEST(what_is_configured_takes_the_place_of_its_own) {
        ConfigPair pairs[] = {{(char *)"service.name", (char *)"sidecar"},
                              {(char *)"service.instance.id", (char *)"one"},
                              {(char *)"team", (char *)"shop"}};

        encode(resource_encode_own, pairs, 3);
        ck_assert_str_eq(value("service.name"), "sidecar");
        ck_assert_str_eq(value("service.instance.id"), "one");
        ck_assert_str_eq(value("service.version"), CATENA_VERSION);
        ck_assert_str_eq(value("team"), "shop");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("resource");
        TCase *tcase = tcase_create("resource");

        tcase_add_checked_fixture(tcase, NULL, teardown);
        tcase_add_test(tcase, what_is_added_is_what_is_configured);
        tcase_add_test(tcase, the_daemon_says_who_it_is);
        tcase_add_test(tcase, what_is_configured_takes_the_place_of_its_own);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
