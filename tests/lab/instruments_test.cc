/* At stake: an instrument that cries wolf is switched off, and one whose guarantee is wrong is
 * believed. Known answers were computed with independent code; rates are simulated. */
#include <asx/lab/conformal.h>
#include <asx/lab/eprocess.h>
#include <asx/lab/evidence.h>
#include <asx/lab/leak_monitor.h>
#include <asx/shard/base/prng.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace
{

asx_eprocess single_bet()
{
    asx_eprocess_config config = {};
    config.lambda = 0.5;
    asx_eprocess e;
    asx_eprocess_init(&e, &config);
    return e;
}

void observe(asx_eprocess *e, int passes, int violations)
{
    for (int i = 0; i < passes; i++) {
        asx_eprocess_observe(e, false);
    }
    for (int i = 0; i < violations; i++) {
        asx_eprocess_observe(e, true);
    }
}

double evalue(asx_eprocess e, int passes, int violations)
{
    observe(&e, passes, violations);
    return asx_eprocess_evalue(&e);
}

asx_eprocess mixture()
{
    asx_eprocess e;
    asx_eprocess_init(&e, nullptr);
    return e;
}

/* Uniform in (0, 1]. */
double uniform(asx_prng *prng)
{
    return (static_cast<double>(asx_prng_u64(prng) >> 11) + 1) / 9007199254740992.0;
}

double exponential(asx_prng *prng, double mean)
{
    return -mean * std::log(uniform(prng));
}

} // namespace

TEST_CASE("eprocess: known answers of the single bet", "[lab]")
{
    CHECK(evalue(single_bet(), 0, 1) == Approx(1.4995).margin(1e-6));
    CHECK(evalue(single_bet(), 1, 0) == Approx(0.9995).margin(1e-6));
    CHECK(evalue(single_bet(), 0, 7) == Approx(17.0461).margin(1e-4));
    CHECK(evalue(single_bet(), 0, 8) == Approx(25.5606).margin(1e-4));
    CHECK(evalue(single_bet(), 0, 8) == Approx(std::pow(1.4995, 8)).margin(1e-6));
    CHECK(evalue(single_bet(), 100, 0) == Approx(0.951218).margin(1e-6));
    CHECK(evalue(single_bet(), 100, 7) == Approx(16.2146).margin(1e-4));
    CHECK(evalue(single_bet(), 100, 8) == Approx(24.3137).margin(1e-4));
    CHECK(evalue(single_bet(), 1000, 0) == Approx(0.606455).margin(1e-6));
    asx_eprocess e = single_bet();
    observe(&e, 0, 7);
    CHECK(e.rejected_at == 0);
    observe(&e, 0, 1);
    CHECK(e.rejected_at == 8);
    e = single_bet();
    observe(&e, 1000, 8);
    CHECK(e.rejected_at == 0);
    observe(&e, 0, 1);
    CHECK(e.rejected_at == 1009);
    CHECK(asx_eprocess_log10(&e) == Approx(std::log10(asx_eprocess_evalue(&e))));
}

TEST_CASE("eprocess: known answers of the mixture", "[lab]")
{
    CHECK(evalue(mixture(), 0, 1) == Approx(114.636).margin(1e-3));
    CHECK(evalue(mixture(), 0, 1) == Approx(1 + 0.999 * 682.5 / 6).margin(1e-6));
    CHECK(evalue(mixture(), 100, 1) == Approx(1.53055).margin(1e-5));
    CHECK(evalue(mixture(), 100, 2) == Approx(14.6291).margin(1e-4));
}

TEST_CASE("eprocess: a family shares alpha, and a cap keeps the value finite", "[lab]")
{
    asx_eprocess_config config = {};
    config.lambda = 0.5;
    config.family = 3;
    asx_eprocess e;
    asx_eprocess_init(&e, &config);
    while (!asx_eprocess_observe(&e, true)) {
    }
    CHECK(e.rejected_at == 11); /* 1.4995^10 = 57.5, 1.4995^11 = 86.2; 60 is needed */
    observe(&e, 0, 100000);
    CHECK(asx_eprocess_evalue(&e) == Approx(1e15));
    char text[256];
    CHECK(std::string(asx_eprocess_text(&e, text, sizeof text)) ==
          "e = 1e+15 (log10 15.000), rejected at observation 11; 100011 violations in 100011 "
          "observations, rate 1 against 0.001 allowed");
    CHECK(
        std::string(asx_eprocess_json(&e, text, sizeof text)) ==
        "{\"e\":1e+15,\"log10_e\":15,\"rejected\":true,\"rejected_at\":11,\"observations\":100011,"
        "\"violations\":100011,\"rate\":1,\"p0\":0.001}");
}

TEST_CASE("eprocess: under the null it rejects no more often than promised", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 41);
    const int streams = 10000;
    int rejected[2] = {};
    for (int s = 0; s < streams; s++) {
        asx_eprocess one = single_bet(), mixed = mixture();
        int next = static_cast<int>(exponential(&prng, 1000)); /* passes until a violation */
        for (int at = 0; at < 1000;) {
            const int passes = std::min(next, 1000 - at);
            for (int i = 0; i < passes && !(one.rejected_at && mixed.rejected_at); i++) {
                asx_eprocess_observe(&one, false);
                if (s < 1000) { /* the mixture costs six times as much */
                    asx_eprocess_observe(&mixed, false);
                }
            }
            at += passes;
            if (at < 1000) {
                asx_eprocess_observe(&one, true);
                asx_eprocess_observe(&mixed, true);
                at++;
            }
            next = static_cast<int>(exponential(&prng, 1000));
        }
        rejected[0] += one.rejected_at != 0;
        rejected[1] += s < 1000 && mixed.rejected_at != 0;
    }
    CHECK(rejected[0] <= 0.05 * streams + 4 * std::sqrt(streams * 0.05 * 0.95));
    CHECK(rejected[1] <= 0.05 * 1000 + 4 * std::sqrt(1000 * 0.05 * 0.95));
    INFO("mixture rejected " << rejected[1]);
    CHECK(rejected[1] > 0); /* it does bet */
}

TEST_CASE("eprocess: ten times the allowed rate is noticed within two thousand reports", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 42);
    int noticed = 0;
    const int streams = 400;
    for (int s = 0; s < streams; s++) {
        asx_eprocess e = mixture();
        for (int i = 0; i < 2000 && !e.rejected_at; i++) {
            asx_eprocess_observe(&e, asx_prng_below(&prng, 100) == 0);
        }
        noticed += e.rejected_at != 0;
    }
    CHECK(noticed >= 0.95 * streams);
}

TEST_CASE("conformal: ranks in integers, and infinity where they do not exist", "[lab]")
{
    const struct {
        uint64_t n;
        uint32_t alpha_ppm;
        uint64_t rank;
    } known[] = {
        { 18, 50000, 19 }, { 19, 50000, 19 }, { 20, 50000, 20 },  { 39, 50000, 38 },
        { 99, 50000, 95 }, { 9, 100000, 9 },  { 19, 100000, 18 }, { 20, 100000, 19 },
    };
    for (const auto &k : known) {
        CHECK(asx_conformal_rank(k.n, k.alpha_ppm) == k.rank);
    }
    for (size_t scores : { 18, 19 }) {
        std::vector<double> numbers(scores, 5.0); /* the first half only gives the median */
        for (size_t i = 0; i < scores; i++) {
            numbers.push_back(static_cast<double>(i));
        }
        asx_conformal c;
        asx_conformal_init(&c, numbers.data(), numbers.size(), 50000);
        CHECK(c.median == 5.0);
        CHECK(c.scores == scores);
        CHECK(std::isinf(c.threshold) == (scores == 18));
        CHECK(asx_conformal_test(&c, 1e9) == (scores == 19));
        CHECK(!asx_conformal_test(&c, 5));
        CHECK(asx_conformal_test(&c, std::nan("")));
    }
}

TEST_CASE("conformal: what is not finite calibrates nothing; an even median is the middle", "[lab]")
{
    std::vector<double> numbers = { 1, INFINITY, 3, std::nan(""), 10, 20 };
    asx_conformal c;
    asx_conformal_init(&c, numbers.data(), numbers.size(), 500000);
    CHECK(c.rejected == 2);
    CHECK(c.scores == 2);
    CHECK(c.median == 2);
    CHECK(c.threshold == 18); /* the 2nd of 8 and 18 */
    asx_conformal_init(&c, numbers.data(), 0, 500000);
    CHECK(std::isinf(c.threshold));
    CHECK(!asx_conformal_test(&c, 7));
}

TEST_CASE("conformal: exchangeable draws are covered as often as promised", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 43);
    for (uint32_t alpha_ppm : { 50000u, 100000u }) {
        uint64_t within = 0, tested = 0;
        for (int round = 0; round < 10000; round++) {
            std::vector<double> numbers(60);
            for (double &x : numbers) {
                x = exponential(&prng, 10) * exponential(&prng, 1);
            }
            asx_conformal c;
            asx_conformal_init(&c, numbers.data(), numbers.size(), alpha_ppm);
            asx_conformal_test(&c, exponential(&prng, 10) * exponential(&prng, 1));
            within += c.within;
            tested += c.tested;
        }
        const double alpha = alpha_ppm / 1e6, n = static_cast<double>(tested);
        CHECK(static_cast<double>(within) >= (1 - alpha) * n - 4 * std::sqrt(n * alpha));
        asx_conformal summary = {};
        summary.alpha_ppm = alpha_ppm, summary.tested = tested, summary.within = within;
        CHECK(asx_conformal_is_calibrated(&summary));
        summary.within = static_cast<uint64_t>((1 - 1.3 * alpha) * n);
        CHECK(!asx_conformal_is_calibrated(&summary));
    }
}

TEST_CASE("leak monitor: a stuck obligation alerts after ninety-two milliseconds", "[lab]")
{
    asx_leak_monitor m;
    asx_leak_monitor_init(&m, nullptr, 0);
    CHECK(asx_leak_monitor_scan(&m, 5) == ASX_LEAK_CLEAR);
    asx_leak_monitor_reserved(&m, 5);
    CHECK(asx_leak_monitor_scan(&m, asx_ms(1)) == ASX_LEAK_WATCHING);
    asx_instant now = asx_ms(1);
    while (asx_leak_monitor_scan(&m, now) != ASX_LEAK_ALERT) {
        now += 10000;
    }
    CHECK(now >= 92103400);
    CHECK(now <= 92103400 + 10000 + 5);
    CHECK(std::string(asx_leak_state_name(ASX_LEAK_ALERT)) == "ALERT");
}

TEST_CASE("leak monitor: ten obligations, each resolved after two milliseconds", "[lab]")
{
    asx_leak_monitor m;
    asx_leak_monitor_init(&m, nullptr, 0);
    asx_instant now = 0;
    for (int i = 0; i < 10; i++) {
        asx_leak_monitor_reserved(&m, now);
        now += asx_ms(2);
        asx_leak_monitor_resolved(&m, now);
    }
    CHECK(m.log_e == Approx(1 - 10 * std::log(2)).margin(1e-9));
    CHECK(m.log_e == Approx(-5.931).margin(1e-3));
    CHECK(m.cusum == 0);
    CHECK(asx_leak_monitor_scan(&m, now) == ASX_LEAK_CLEAR);
}

TEST_CASE("leak monitor: a healthy past hides a leak from the ratio, not from the CUSUM", "[lab]")
{
    asx_leak_monitor m;
    asx_leak_monitor_init(&m, nullptr, 0);
    asx_instant now = 0;
    for (int i = 0; i < 1000; i++) {
        asx_leak_monitor_reserved(&m, now);
        asx_leak_monitor_resolved(&m, now += asx_ms(1));
    }
    asx_leak_monitor_reserved(&m, now);
    CHECK(asx_leak_monitor_scan(&m, now + asx_ms(92)) == ASX_LEAK_WATCHING);
    CHECK(asx_leak_monitor_scan(&m, now + asx_ms(93)) == ASX_LEAK_ALERT);
    CHECK(m.log_e < -500);
}

TEST_CASE("leak monitor: a million healthy lifetimes raise no alert", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 44);
    asx_leak_monitor m;
    asx_leak_monitor_init(&m, nullptr, 0);
    double now = 0;
    int alerts = 0;
    for (int i = 0; i < 1000000; i++) {
        asx_leak_monitor_reserved(&m, static_cast<asx_instant>(now));
        now += exponential(&prng, 5e6);
        const auto at = static_cast<asx_instant>(now);
        alerts += asx_leak_monitor_scan(&m, at) == ASX_LEAK_ALERT;
        asx_leak_monitor_resolved(&m, at);
    }
    CHECK(alerts == 0);
    CHECK(m.resolved == 1000000);
}

TEST_CASE("leak monitor: finished lifetimes, and who is suspected", "[lab]")
{
    const asx_duration ages[] = { 500, 800, 50000 };
    const double known[] = { 0.731059, 0.534447, 19.535590 };
    for (size_t n = 1; n <= 3; n++) {
        CHECK(std::exp(asx_leak_log_e_of_lifetimes(ages, n, 1000)) ==
              Approx(known[n - 1]).margin(1e-6));
    }
    asx_leak_monitor m;
    asx_leak_monitor_init(&m, nullptr, 0);
    asx_leak_monitor_reserved(&m, 0);
    asx_leak_monitor_scan(&m, asx_ms(100));
    asx_leak_suspect suspects[] = {
        { 0x10, 1, 2, asx_ms(3), nullptr },
        { 0x30, 3, 4, asx_ms(90), "flushing" },
        { 0x20, 5, 6, asx_ms(90), nullptr },
    };
    char text[512];
    CHECK(std::string(asx_leak_monitor_text(&m, suspects, 3, 2, text, sizeof text)) ==
          "pending 1, resolved 0, ln E 5.000, cusum 5.000, alert at 4.605\n"
          "  obligation 20: pending 90.000 ms, holder 5, region 6, last said: nothing\n"
          "  obligation 30: pending 90.000 ms, holder 3, region 4, last said: flushing\n"
          "  (+1 more)\n");
    asx_leak_monitor_text(&m, suspects, 3, 2, text, 20);
    CHECK(std::string(text).size() <= 19);
}

namespace
{

std::string printed(asx_evidence *evidence, void print(asx_evidence *, FILE *))
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    print(evidence, out);
    fclose(out);
    const std::string copy(text, len);
    free(text);
    return copy;
}

asx_evidence_entry entry(const char *name, asx_evidence_verdict verdict, uint32_t entities)
{
    asx_evidence_entry e = {};
    e.invariant = name, e.verdict = verdict, e.entities = entities;
    return e;
}

} // namespace

TEST_CASE("evidence: factors and the names of their strengths", "[lab]")
{
    CHECK(asx_evidence_log10_factor(ASX_EVIDENCE_VIOLATION, 1) == Approx(2.95424).margin(1e-5));
    CHECK(asx_evidence_log10_factor(ASX_EVIDENCE_VIOLATION, 3) == Approx(2.99957).margin(1e-5));
    CHECK(asx_evidence_log10_factor(ASX_EVIDENCE_PASS, 1) == Approx(-0.99957).margin(1e-5));
    CHECK(asx_evidence_log10_factor(ASX_EVIDENCE_PASS, 3) == Approx(-2.99957).margin(1e-5));
    CHECK(asx_evidence_log10_factor(ASX_EVIDENCE_PASS, 0) ==
          asx_evidence_log10_factor(ASX_EVIDENCE_PASS, 1));
    CHECK(asx_evidence_log10_factor(ASX_EVIDENCE_VIOLATION, 1) ==
          Approx(std::log10(900)).margin(1e-12));
    const struct {
        double factor;
        const char *name;
    } names[] = { { -0.1, "against" }, { 0, "negligible" },   { 0.499, "negligible" },
                  { 0.5, "positive" }, { 1.299, "positive" }, { 1.3, "strong" },
                  { 2.199, "strong" }, { 2.2, "very strong" } };
    for (const auto &n : names) {
        CHECK(std::string(asx_evidence_strength(n.factor)) == n.name);
    }
}

TEST_CASE("evidence: the ledger reads cause, evidence, next; the strongest first", "[lab]")
{
    asx_evidence *ledger = asx_evidence_create();
    const asx_evidence_entry entries[] = { entry("quiescence", ASX_EVIDENCE_VACUOUS, 0),
                                           entry("task_leak", ASX_EVIDENCE_PASS, 1),
                                           entry("ring_fifo", ASX_EVIDENCE_PASS, 5),
                                           entry("deadlock", ASX_EVIDENCE_VIOLATION, 1) };
    for (const auto &e : entries) {
        asx_evidence_add(ledger, &e);
    }
    asx_evidence_entry leak = entry("obligation_leak", ASX_EVIDENCE_VIOLATION, 3);
    leak.count = 2;
    leak.cause = "a permit was \"kept\"";
    leak.first_event = "16 obl_leak";
    leak.prefix = 40;
    leak.next = "asx lab run toy --seed 7";
    asx_evidence_add(ledger, &leak);
    const asx_evidence_summary sum = asx_evidence_summary_of(ledger);
    CHECK(sum.entries == 5);
    CHECK(sum.violations == 2);
    CHECK(sum.passes == 2);
    CHECK(sum.vacuous == 1);
    CHECK(sum.log10_sum == Approx(2.95424 + 2.99957).margin(1e-4));
    CHECK(std::string(sum.strongest) == "obligation_leak");
    CHECK(std::string(sum.strongest_clean) == "ring_fifo");
    const std::string text = printed(ledger, asx_evidence_print);
    CHECK(text ==
          "5 checked: 2 violated, 2 hold, 1 had nothing to check\n"
          "  violation obligation_leak, 2 times, 3 tracked\n"
          "    cause     a permit was \"kept\"\n"
          "    evidence  16 obl_leak, after 40 records\n"
          "    next      asx lab run toy --seed 7\n"
          "    weight    log10 BF = log10((1-(1-p)^n)/f) = log10((1-0.1^3)/0.001) = 2.99957: "
          "very strong\n"
          "  violation deadlock, 0 times, 1 tracked\n"
          "    weight    log10 BF = log10((1-(1-p)^n)/f) = log10((1-0.1^1)/0.001) = 2.95424: "
          "very strong\n"
          "  pass      ring_fifo, 5 tracked\n"
          "    weight    log10 BF = log10((1-p)^n/(1-f)) = log10((0.1^5)/0.999) = -4.99957: "
          "against\n"
          "  pass      task_leak, 1 tracked\n"
          "    weight    log10 BF = log10((1-p)^n/(1-f)) = log10((0.1^1)/0.999) = -0.99957: "
          "against\n"
          "  vacuous   quiescence, 1 tracked\n");
    const std::string json = printed(ledger, asx_evidence_print_json);
    CHECK(json.find("{\"schema\":1,\"checked\":5,\"violated\":2,\"hold\":2,\"vacuous\":1,") == 0);
    CHECK(json.find("\"cause\":\"a permit was \\\"kept\\\"\"") != std::string::npos);
    CHECK(json.find("\"invariant\":\"quiescence\",\"cause\":null") != std::string::npos);
    CHECK(printed(ledger, asx_evidence_print) == text); /* sorting again changes nothing */
    asx_evidence_destroy(ledger);
}
