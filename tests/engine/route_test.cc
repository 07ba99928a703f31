/* At stake: which handler answers. The table is built in an order that helps nobody, so that what
 * wins, wins by being more particular. */
#include <asx/engine/route.h>

#include "engine_fixture.h"

#include <cstring>
#include <string>
#include <vector>

namespace
{

asx_outcome unused(asx_cx *, asx_http_exchange *)
{
    return asx_ok(0);
}

asx_route route(asx_http_method method, const char *pattern)
{
    return { method, pattern, unused, nullptr };
}

std::string text(asx_view view)
{
    return std::string(view.ptr, view.len);
}

asx_region *region_of(asx_cx *cx)
{
    asx_region *region = nullptr;
    REQUIRE(asx_region_lookup(asx_shard_of(cx), asx_cx_region(cx), &region) == ASX_OK);
    return region;
}

/* The pattern that answers, "404", or "405". */
std::string answer(const asx_router *router, asx_http_method method, const char *path,
                   asx_route_match *match)
{
    switch (asx_router_match(router, method, asx_view_str(path), match)) {
    case ASX_ROUTE_FOUND:
        return match->route->pattern;
    case ASX_ROUTE_NO_METHOD:
        return "405";
    case ASX_ROUTE_NO_PATH:
        break;
    }
    return "404";
}

} // namespace

TEST_CASE("route: the most particular pattern answers, whatever the order of the table", "[engine]")
{
    in_a_task([](asx_cx *cx) {
        const asx_route routes[] = {
            route(ASX_HTTP_GET, "/*rest"),           route(ASX_HTTP_GET, "/users/:id"),
            route(ASX_HTTP_GET, "/users/:id/posts"), route(ASX_HTTP_GET, "/users/me"),
            route(ASX_HTTP_GET, "/static/*path"),    route(ASX_HTTP_GET, "/"),
            route(ASX_HTTP_GET, "/:a/:b/c"),
        };
        asx_router *router = nullptr;
        asx_route_match match;
        REQUIRE(asx_router_create(region_of(cx), routes, 7, &router) == ASX_OK);
        const struct {
            const char *path, *pattern;
            std::vector<std::string> params;
        } rows[] = {
            { "/", "/", {} },
            { "/users/me", "/users/me", {} },
            { "/users/7", "/users/:id", { "7" } },
            { "/users/mee", "/users/:id", { "mee" } },
            { "/users/7/posts", "/users/:id/posts", { "7" } },
            { "/users/7/c", "/:a/:b/c", { "users", "7" } },
            { "/users/", "/*rest", { "users/" } },
            { "/static/", "/static/*path", { "" } },
            { "/static/a/b.css", "/static/*path", { "a/b.css" } },
            { "/static", "/*rest", { "static" } },
            { "/x/y/z", "/*rest", { "x/y/z" } },
        };
        for (const auto &row : rows) {
            INFO(row.path);
            CHECK(answer(router, ASX_HTTP_GET, row.path, &match) == row.pattern);
            REQUIRE(match.param_count == row.params.size());
            for (size_t i = 0; i < row.params.size(); i++) {
                CHECK(text(match.params[i]) == row.params[i]);
            }
        }
    });
}

TEST_CASE("route: a path without the method is 405 with all its methods, HEAD is GET's", "[engine]")
{
    in_a_task([](asx_cx *cx) {
        const asx_route routes[] = {
            route(ASX_HTTP_GET, "/a"),
            route(ASX_HTTP_POST, "/a"),
            route(ASX_HTTP_PUT, "/:any"),
            route(ASX_HTTP_POST, "/post/only"),
        };
        asx_router *router = nullptr;
        asx_route_match match;
        REQUIRE(asx_router_create(region_of(cx), routes, 4, &router) == ASX_OK);
        CHECK(answer(router, ASX_HTTP_HEAD, "/a", &match) == "/a");
        CHECK(answer(router, ASX_HTTP_PUT, "/a", &match) == "/:any");
        CHECK(answer(router, ASX_HTTP_DELETE, "/a", &match) == "405");
        CHECK(match.allow == (1u << ASX_HTTP_GET | 1u << ASX_HTTP_POST | 1u << ASX_HTTP_PUT));
        CHECK(answer(router, ASX_HTTP_HEAD, "/post/only", &match) == "405");
        CHECK(answer(router, ASX_HTTP_GET, "/a/b", &match) == "404");
        CHECK(answer(router, ASX_HTTP_OTHER, "/a", &match) == "405");
        CHECK(asx_router_match(router, ASX_HTTP_GET, asx_view_of("", 0), &match) ==
              ASX_ROUTE_NO_PATH);
    });
}

TEST_CASE("route: patterns that are none, and repetitions, are refused", "[engine]")
{
    in_a_task([](asx_cx *cx) {
        asx_router *router = nullptr;
        for (const char *bad :
             { "", "a", "/:", "/a/:/b", "/*", "/*a/b", "/:1/:2/:3/:4/:5/:6/:7/:8/:9" }) {
            const asx_route routes[] = { route(ASX_HTTP_GET, bad) };
            CHECK(asx_router_create(region_of(cx), routes, 1, &router) == ASX_E(INVALID_ARGUMENT));
        }
        const asx_route twice[] = { route(ASX_HTTP_GET, "/a"), route(ASX_HTTP_GET, "/a") };
        CHECK(asx_router_create(region_of(cx), twice, 2, &router) == ASX_E(INVALID_ARGUMENT));
        const asx_route eight[] = { route(ASX_HTTP_GET, "/:1/:2/:3/:4/:5/:6/:7/:8") };
        CHECK(asx_router_create(region_of(cx), eight, 1, &router) == ASX_OK);
    });
}

TEST_CASE("route: every literal of a large table is found, and nothing beside it", "[engine]")
{
    in_a_task([](asx_cx *cx) {
        std::vector<std::string> patterns;
        std::vector<asx_route> routes;
        for (int i = 0; i < 200; i++) {
            patterns.push_back("/r" + std::to_string(i * 37 % 200) + (i % 3 ? "/x" : ""));
        }
        for (const auto &pattern : patterns) {
            routes.push_back(route(ASX_HTTP_GET, pattern.c_str()));
        }
        asx_router *router = nullptr;
        asx_route_match match;
        REQUIRE(asx_router_create(region_of(cx), routes.data(), routes.size(), &router) == ASX_OK);
        for (const auto &pattern : patterns) {
            CHECK(answer(router, ASX_HTTP_GET, pattern.c_str(), &match) == pattern);
            CHECK(answer(router, ASX_HTTP_GET, (pattern + "y").c_str(), &match) == "404");
        }
    });
}
