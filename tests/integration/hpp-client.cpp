// SPDX-License-Identifier: Apache-2.0

/* A C++ program that says what scenario-cpp.c expects. Ends with 0 if all held on this side. */

#include <catena.hpp>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
                        std::exit(EXIT_FAILURE);                                                   \
                }                                                                                  \
        } while (0)

static_assert(!std::is_copy_constructible_v<catena::context>);
static_assert(!std::is_copy_assignable_v<catena::context>);
static_assert(std::is_nothrow_move_constructible_v<catena::context>);
static_assert(std::is_nothrow_move_assignable_v<catena::context>);
static_assert(!std::is_copy_constructible_v<catena::span>);
static_assert(!std::is_copy_assignable_v<catena::span>);
static_assert(std::is_nothrow_move_constructible_v<catena::span>);
static_assert(std::is_nothrow_move_assignable_v<catena::span>);

namespace shop {

struct declined : std::runtime_error {
        using std::runtime_error::runtime_error;
};

} // namespace shop

static bool is_open(const catena::span &span) {
        return span.get().span_id[0] || span.get().span_id[1];
}

static void values(const catena::context &order) {
        catena::span span{order, "values", CATENA_KIND_CLIENT};

        span.set("string", std::string{"text"});
        span.set("view", std::string_view{"texture", 4});
        span.set("literal", "text");
        span.set("int", 42);
        span.set("size", std::size_t{43});
        span.set("bool", true);
        span.set("double", 0.5);
        span.set("", "no key");
        span.set("null", static_cast<const char *>(nullptr));
        span.event("half");
        span.log(CATENA_SEVERITY_INFO, "halfway");
        span.status(CATENA_STATUS_OK);
        span.name("values renamed");
        CHECK(span.recording());
}

static void moves(const catena::context &order) {
        catena::span first{order, "moved"}, second{order, "replaced"};
        catena_span value = first.get();

        second = std::move(first);
        CHECK(!is_open(first) && is_open(second));
        first.set("after", "the move");
        first.end();

        catena::span third{std::move(second)};

        CHECK(third.get().span_id[0] == value.span_id[0]);
        third.end();
        CHECK(!is_open(third));
        third.end();

        catena_span released = catena::span{order, "released"}.release();

        catena_span_end(released);
}

static void exceptions(const catena::context &order) {
        int seven = 0;

        try {
                catena::span{order, "named"}.run([](catena::span &span) {
                        span.set("before", "it");
                        throw shop::declined{"the bank said no"};
                });
        } catch (const shop::declined &) {
        }
        try {
                catena::span{order, "of int"}.run([] { throw 7; });
        } catch (int thrown) {
                seven = thrown;
        }
        CHECK(seven == 7);
        try {
                catena::span span{order, "unnamed"};

                throw std::runtime_error{"nobody knows"};
        } catch (const std::exception &) {
        }
        try {
                catena::span span{order, "caught"};

                throw std::runtime_error{"told by hand"};
        } catch (const std::exception &exception) {
                catena::span span{order, "told"};

                span.error(exception);
        }
        CHECK((catena::span{order, "returned"}.run([&] { return ++seven; })) == 8);

        int &same = catena::span{order, "reference"}.run([&]() -> int & { return seven; });

        CHECK(&same == &seven);
}

/* Works while an exception is on its way, which is none of its own. */
struct cleaner {
        const catena::context &order;
        ~cleaner() {
                catena::span span{order, "cleaning"};

                span.set("clean", true);
        }
};

static void cleans_up(const catena::context &order) {
        try {
                cleaner cleaner{order};

                throw 1;
        } catch (int) {
        }
}

static void contexts() {
        catena::context empty{nullptr}, taken{"taken"};
        catena_context *raw = taken.get();

        empty = std::move(taken);
        CHECK(empty.get() == raw && !taken.get());

        catena::context child{empty.child()};

        CHECK(std::string{catena_context_causation_id(child.get())} == catena_context_id(raw));
        child.checkpoint("born");
        child.log(CATENA_SEVERITY_WARN, "a child");
        catena_context_free(child.release());
        CHECK(!child.get());
        CHECK(catena::context::from_environ().get());

        catena_context_options options{};

        options.correlation_id = "ticket-9";
        CHECK(std::string{catena_context_correlation_id(catena::context{options}.get())} ==
              "ticket-9");
}

/* From one request to the next, by a carrier of the program's own. */
static void requests() {
        using headers = std::map<std::string, std::string>;
        const headers in{
                {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
                {"baggage", "tenant=acme"},
        };
        headers out, again;
        auto get = [&](const char *name, std::size_t index) -> const char * {
                auto at = in.find(name);

                return index || at == in.end() ? nullptr : at->second.c_str();
        };
        auto set = [&](const char *name, const char *value) { out[name] = value; };
        catena::context order{catena::context::extract(get)};

        CHECK(std::string{order.baggage("tenant")} == "acme" && !order.baggage("other"));
        CHECK(order.set_baggage("cart", "7") && order.set_tag("region", "eu"));
        CHECK(order.set_metadata("m", "1") && std::string{order.metadata("m")} == "1");
        CHECK(order.set_state("s", "2") && std::string{order.state("s")} == "2");
        CHECK(std::string{order.tag("region")} == "eu");

        catena::span serve{order, "served", CATENA_KIND_SERVER};

        CHECK(order.inject(set) && serve.inject(order, [&](const char *name, const char *value) {
                again[name] = value;
        }));
        CHECK(out == again && out["traceparent"] != in.at("traceparent"));
        CHECK(out["baggage"].find("cart=7") != std::string::npos);
        CHECK(order.inject_environ() && serve.inject_environ(order));
        CHECK(out["traceparent"] == std::getenv("TRACEPARENT"));

        catena::context next{catena::context::from_headers(
                out["traceparent"].c_str(), nullptr, out["baggage"].c_str())};

        CHECK(std::string{catena_context_causation_id(next.get())} ==
              catena_context_id(order.get()));
        CHECK(std::string{catena_context_span_id(next.get())} ==
              catena_context_span_id(order.get()));

        catena::context fresh{catena::context::extract(get, CATENA_UNTRUSTED)};

        CHECK(!fresh.baggage("tenant"));
}

/* What a carrier throws comes out where it went in. */
static void carriers_that_throw() {
        catena::context order{"order"};
        unsigned n_calls = 0;
        bool caught = false;

        try {
                catena::context::extract([&](const char *, std::size_t) -> const char * {
                        n_calls++;
                        throw shop::declined{"no headers"};
                });
        } catch (const shop::declined &) {
                caught = true;
        }
        CHECK(caught && n_calls == 1);
        caught = false;
        try {
                catena::span span{order, "not sent"};

                span.inject(order, [](const char *, const char *) {
                        throw shop::declined{"no room"};
                });
        } catch (const shop::declined &) {
                caught = true;
        }
        CHECK(caught);
}

static int throwing(catena_context *, void *, void **, void *) {
        throw std::runtime_error{"through C"};
}

/* Where C code has unwinding tables, an exception gets through it; the span stays open. */
static void through_c(const catena::context &order) {
        catena_primitive_options options{};
        bool caught = false;

        options.name = "thrower";
        options.run = throwing;

        catena_primitive *thrower = catena_primitive_new(&options);

        try {
                catena_execute(thrower, order.get(), nullptr, nullptr);
        } catch (const std::runtime_error &) {
                caught = true;
        }
        CHECK(caught);
        catena_primitive_unref(thrower);
        catena::span{order, "after the thrower"};
}

int main() {
        catena_stats stats{};

        {
                catena::context order{"order-4711", "session-9"};
                catena::span all{order, "all", CATENA_KIND_SERVER};

                values(order);
                moves(order);
                exceptions(order);
                cleans_up(order);
                catena::span child{all.child("child")};
        }
        contexts();
        requests();
        carriers_that_throw();
        catena_stats_get(&stats, sizeof stats);
        CHECK(stats.misuse == 3); /* two bad attributes, and one of a span that was moved from */
        through_c(catena::context{"thrown"});
        return catena_stop(60000) ? EXIT_SUCCESS : EXIT_FAILURE;
}
