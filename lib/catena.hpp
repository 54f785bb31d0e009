#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Catena for C++: contexts and spans that end where their scope does
 *
 *     #include <catena.hpp>
 *
 *     void check_out(const cart &cart) {
 *             catena::context order{"order-4711"};
 *             order.set_tag("shop.region", "eu");
 *             catena::span all{order, "check out", CATENA_KIND_SERVER};
 *
 *             all.set("cart.items", cart.size());
 *             catena::span{order, "pay", CATENA_KIND_CLIENT}.run([&](catena::span &pay) {
 *                     pay.set("card.brand", cart.card().brand());
 *                     charge(cart);
 *             });
 *     }
 *
 * C++17, header only; links to what <catena.h> links to, whose contracts hold here as well. A
 * context is freed, and a span ends, when it is destroyed. Both are values that move and do not
 * copy; one that was moved from is empty, and harmless.
 *
 * Exceptions. A span that an exception leaves ends as an error, with one `exception` event. run()
 * names it there: its type and what(). A destructor cannot know which exception is on its way, so
 * a span that is left without run() says only that one was. Nothing here throws by itself.
 *
 * Headers. extract() and inject() are given any callable, a lambda over a request as a rule:
 *
 *     auto in = catena::context::extract([&](const char *name, std::size_t index) -> const char * {
 *             return request.header(name, index);
 *     });
 *     catena::span serve{in, "POST /order", CATENA_KIND_SERVER};
 *
 *     serve.inject(in, [&](const char *name, const char *value) { call.header(name, value); });
 *
 * An exception that leaves the callable leaves extract() or inject(), and no C code.
 *
 * All of <catena.h> can be had of what get() returns.
 */

#include "catena.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#if defined(__GXX_RTTI) || defined(__cpp_rtti)
#define CATENA_HAS_RTTI 1
#include <cxxabi.h>
#else
#define CATENA_HAS_RTTI 0
#endif

namespace catena {

/*
 * An attribute: text, a bool, an integer (as 64 bits with a sign) or a floating point number. It
 * refers to the key and to text, which must outlive it. A null `const char *` is left out and
 * counted.
 */
template <typename Value>
catena_attribute attribute(std::string_view key, const Value &value) noexcept {
        catena_attribute made{};

        made.key = key.empty() ? nullptr : key.data();
        made.key_size = static_cast<std::uint32_t>(key.size());
        if constexpr (std::is_same_v<Value, bool>) {
                made.type = CATENA_TYPE_BOOL;
                made.value.boolean = value;
        } else if constexpr (std::is_integral_v<Value>) {
                made.type = CATENA_TYPE_INT;
                made.value.integer = static_cast<std::int64_t>(value);
        } else if constexpr (std::is_floating_point_v<Value>) {
                made.type = CATENA_TYPE_DOUBLE;
                made.value.real = static_cast<double>(value);
        } else if constexpr (std::is_convertible_v<const Value &, const char *>) {
                made.type = CATENA_TYPE_STRING;
                made.value.string = value;
        } else {
                std::string_view text{value};

                made.type = CATENA_TYPE_STRING_N;
                made.value.string = text.empty() ? "" : text.data();
                made.size = text.size();
        }
        return made;
}

/* A callable as C code calls it. */
template <typename Call> class carrier {
      public:
        explicit carrier(Call &call) noexcept : call_{call} {
        }

        static const char *get(void *self, const char *name, std::size_t index) noexcept {
                const char *value = nullptr;

                static_cast<carrier *>(self)->guard(
                        [&](Call &call) { value = call(name, index); });
                return value;
        }
        static void set(void *self, const char *name, const char *value) noexcept {
                static_cast<carrier *>(self)->guard([&](Call &call) { call(name, value); });
        }
        /* What left it, if anything did; it was not called again. */
        void rethrow() const {
                if (failure_)
                        std::rethrow_exception(failure_);
        }

      private:
        template <typename Act> void guard(Act &&act) noexcept {
#if defined(__cpp_exceptions)
                try {
                        if (!failure_)
                                act(call_);
                } catch (...) {
                        failure_ = std::current_exception();
                }
#else
                act(call_);
#endif
        }

        Call &call_;
        std::exception_ptr failure_;
};

/* A unit of work: catena_context. */
class context {
      public:
        /* A root; either id may be null. */
        explicit context(const char *workflow_id = nullptr,
                         const char *session_id = nullptr) noexcept
            : handle_{catena_context_new(workflow_id, session_id)} {
        }
        explicit context(const catena_context_options &options) noexcept
            : handle_{catena_context_new_with(&options)} {
        }
        context(context &&other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {
        }
        context &operator=(context &&other) noexcept {
                context gone{adopt(std::exchange(other.handle_, nullptr))};

                std::swap(handle_, gone.handle_);
                return *this;
        }
        context(const context &) = delete;
        context &operator=(const context &) = delete;
        ~context() {
                catena_context_free(handle_);
        }

        /* One that a C function made, to be freed here. */
        static context adopt(catena_context *handle) noexcept {
                return context{owned{handle}};
        }
        /* Goes on with what the environment says. */
        static context from_environ(unsigned flags = 0) noexcept {
                return adopt(catena_context_extract_environ(flags));
        }
        /* Goes on with what a request says: its headers at hand, each of which may be null; … */
        static context from_headers(const char *traceparent, const char *tracestate,
                                    const char *baggage, unsigned flags = 0) noexcept {
                return adopt(catena_context_extract_strings(traceparent, tracestate, baggage,
                                                            flags));
        }
        /* … or get(name, index), a `const char *`: catena_carrier_get. */
        template <typename Get> static context extract(Get &&get, unsigned flags = 0) {
                carrier<std::remove_reference_t<Get>> from{get};
                context made{adopt(catena_context_extract(from.get, &from, flags))};

                from.rethrow();
                return made;
        }
        /* One that this caused. */
        context child() const noexcept {
                return adopt(catena_context_child(handle_));
        }

        catena_context *get() const noexcept {
                return handle_;
        }
        /* It is the caller's from then on. */
        catena_context *release() noexcept {
                return std::exchange(handle_, nullptr);
        }

        /* Calls set(name, value) for each header of a request of the current span. */
        template <typename Set> bool inject(Set &&set) const {
                carrier<std::remove_reference_t<Set>> to{set};
                bool said = catena_inject(handle_, catena_span{}, to.set, &to);

                to.rethrow();
                return said;
        }
        bool inject_environ() const noexcept {
                return catena_inject_environ(handle_, catena_span{});
        }

        /* Tags are attributes of all its spans; baggage goes along. A null value removes. */
        bool set_tag(const char *key, const char *value) const noexcept {
                return catena_context_set_tag(handle_, key, value);
        }
        bool set_metadata(const char *key, const char *value) const noexcept {
                return catena_context_set_metadata(handle_, key, value);
        }
        bool set_state(const char *key, const char *value) const noexcept {
                return catena_context_set_state(handle_, key, value);
        }
        bool set_baggage(const char *key, const char *value) const noexcept {
                return catena_context_set_baggage(handle_, key, value);
        }
        /* What was set; null: nothing. It lives until the context changes or ends. */
        const char *tag(const char *key) const noexcept {
                return catena_context_get_tag(handle_, key);
        }
        const char *metadata(const char *key) const noexcept {
                return catena_context_get_metadata(handle_, key);
        }
        const char *state(const char *key) const noexcept {
                return catena_context_get_state(handle_, key);
        }
        const char *baggage(const char *key) const noexcept {
                return catena_context_get_baggage(handle_, key);
        }

        void checkpoint(const char *name) const noexcept {
                catena_context_checkpoint(handle_, name);
        }
        void log(std::uint32_t severity, const char *text) const noexcept {
                catena_log(handle_, severity, text, nullptr, 0);
        }

      private:
        struct owned {
                catena_context *handle;
        };
        explicit context(owned taken) noexcept : handle_{taken.handle} {
        }

        catena_context *handle_;
};

/* A timed piece of work: catena_span. */
class span {
      public:
        /* A child of the context's current span, and current until it ends. */
        span(const context &of, const char *name,
             std::uint32_t kind = CATENA_KIND_INTERNAL) noexcept
            : span{catena_span_start(of.get(), name, kind)} {
        }
        span(const context &of, const char *name, const catena_span_options &options) noexcept
            : span{catena_span_start_with(of.get(), name, &options)} {
        }
        /* One that a C function started, to be ended here. */
        explicit span(catena_span started) noexcept
            : value_{started}, n_exceptions_{std::uncaught_exceptions()} {
        }
        span(span &&other) noexcept
            : value_{other.release()}, n_exceptions_{other.n_exceptions_}, told_{other.told_} {
        }
        span &operator=(span &&other) noexcept {
                if (this != &other) {
                        end();
                        n_exceptions_ = other.n_exceptions_;
                        told_ = other.told_;
                        value_ = other.release();
                }
                return *this;
        }
        span(const span &) = delete;
        span &operator=(const span &) = delete;
        ~span() {
                if (open() && !told_ && std::uncaught_exceptions() > n_exceptions_)
                        error(nullptr, "left by an exception");
                end();
        }

        /* Its child, in any thread. */
        span child(const char *name, std::uint32_t kind = CATENA_KIND_INTERNAL) const noexcept {
                return span{catena_span_child(value_, name, kind)};
        }

        /* As context::inject(), of a request that this span makes; `of` says the chain. */
        template <typename Set> bool inject(const context &of, Set &&set) const {
                carrier<std::remove_reference_t<Set>> to{set};
                bool said = catena_inject(of.get(), value_, to.set, &to);

                to.rethrow();
                return said;
        }
        bool inject_environ(const context &of) const noexcept {
                return catena_inject_environ(of.get(), value_);
        }

        /* Calls act(*this), or act(), and returns what it does; names the exception that leaves. */
        template <typename Act> decltype(auto) run(Act &&act) {
#if defined(__cpp_exceptions)
                try {
                        return call(std::forward<Act>(act));
                } catch (const std::exception &exception) {
                        error(exception);
                        throw;
                } catch (...) {
                        error_of_any_type();
                        throw;
                }
#else
                return call(std::forward<Act>(act));
#endif
        }

        template <typename Value>
        void set(std::string_view key, const Value &value) const noexcept {
                catena_attribute made = attribute(key, value);

                catena_span_set(value_, &made, 1);
        }
        void name(const char *name) const noexcept {
                catena_span_set_name(value_, name);
        }
        void status(std::uint32_t status, const char *message = nullptr) const noexcept {
                catena_span_set_status(value_, status, message);
        }
        void event(const char *name) const noexcept {
                catena_span_event(value_, name, nullptr, 0);
        }
        void log(std::uint32_t severity, const char *text) const noexcept {
                catena_span_log(value_, severity, text, nullptr, 0);
        }
        /* The span has failed. An exception that leaves it later is not told again. */
        void error(const char *type, const char *message) noexcept {
                catena_span_error(value_, type, message, nullptr);
                told_ = true;
        }
        void error(const std::exception &exception) noexcept {
#if CATENA_HAS_RTTI
                error(type_name{typeid(exception)}.get(), exception.what());
#else
                error("std::exception", exception.what());
#endif
        }

        bool recording() const noexcept {
                return catena_span_recording(value_);
        }
        catena_span get() const noexcept {
                return value_;
        }
        /* It is the caller's to end from then on. */
        catena_span release() noexcept {
                return std::exchange(value_, catena_span{});
        }
        /* Now. The destructor then does nothing. */
        void end() noexcept {
                if (open())
                        catena_span_end(release());
        }

      private:
        bool open() const noexcept {
                for (unsigned char byte : value_.span_id)
                        if (byte)
                                return true;
                return false;
        }

        /* Of the exception that is being handled. */
        void error_of_any_type() noexcept {
#if CATENA_HAS_RTTI
                const std::type_info *type = abi::__cxa_current_exception_type();

                if (type) {
                        error(type_name{*type}.get(), nullptr);
                        return;
                }
#endif
                error("exception", nullptr);
        }

        template <typename Act> decltype(auto) call(Act &&act) {
                if constexpr (std::is_invocable_v<Act, span &>)
                        return std::forward<Act>(act)(*this);
                else
                        return std::forward<Act>(act)();
        }

#if CATENA_HAS_RTTI
        /* A type's name as it is written. */
        class type_name {
              public:
                explicit type_name(const std::type_info &type) noexcept
                    : mangled_{type.name()}, text_{abi::__cxa_demangle(mangled_, nullptr, nullptr,
                                                                       nullptr)} {
                }
                type_name(const type_name &) = delete;
                type_name &operator=(const type_name &) = delete;
                ~type_name() {
                        std::free(text_);
                }
                const char *get() const noexcept {
                        return text_ ? text_ : mangled_;
                }

              private:
                const char *mangled_;
                char *text_;
        };
#endif

        catena_span value_;
        int n_exceptions_; /* on their way when it started */
        bool told_ = false;
};

} // namespace catena

#undef CATENA_HAS_RTTI
