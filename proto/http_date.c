#include <asx/proto/http_date.h>
#include <asx/shard/base/assert.h>

#define SECONDS_PER_DAY 86400
#define UNIX_S_MIN (-INT64_C(62135596800)) /* 0001-01-01T00:00:00Z */
#define UNIX_S_MAX INT64_C(253402300799)   /* 9999-12-31T23:59:59Z */

static const char day_names[7][10] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday" };
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

typedef struct civil {
    int64_t year;
    unsigned month, day; /* from 1 */
} civil;

/* Days since 1970-01-01; years start in March here, so that the leap day comes last. */
static int64_t days_from_civil(civil date)
{
    const int64_t y = date.year - (date.month <= 2);
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t day_of_year =
        (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static civil civil_from_days(int64_t days)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month = (5 * day_of_year + 2) / 153;
    civil date;
    date.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    date.month = (unsigned)(month < 10 ? month + 3 : month - 9);
    date.year = year_of_era + era * 400 + (date.month <= 2);
    return date;
}

static void put2(char *p, unsigned n)
{
    p[0] = (char)('0' + n / 10);
    p[1] = (char)('0' + n % 10);
}

void asx_http_date_format(int64_t unix_s, char buf[ASX_HTTP_DATE_LEN])
{
    asx_assert(unix_s >= UNIX_S_MIN && unix_s <= UNIX_S_MAX);
    const int64_t days = (unix_s - UNIX_S_MIN) / SECONDS_PER_DAY + UNIX_S_MIN / SECONDS_PER_DAY;
    const unsigned second = (unsigned)(unix_s - days * SECONDS_PER_DAY);
    const unsigned weekday = (unsigned)((days + 4 + 7 * 200000) % 7); /* day 0 was a Thursday */
    const civil date = civil_from_days(days);

    memcpy(buf, "day, dd mon yyyy hh:mm:ss GMT", ASX_HTTP_DATE_LEN);
    memcpy(buf, day_names[weekday], 3);
    put2(buf + 5, date.day);
    memcpy(buf + 8, month_names + 3 * (date.month - 1), 3);
    put2(buf + 12, (unsigned)date.year / 100);
    put2(buf + 14, (unsigned)date.year % 100);
    put2(buf + 17, second / 3600);
    put2(buf + 20, second / 60 % 60);
    put2(buf + 23, second % 60);
}

/* A cursor that fails for good on the first mismatch. */
typedef struct reader {
    const char *p, *end;
    bool ok;
} reader;

static void expect(reader *r, const char *text, size_t len)
{
    r->ok = r->ok && (size_t)(r->end - r->p) >= len && memcmp(r->p, text, len) == 0;
    r->p += r->ok ? len : 0;
}

static unsigned number(reader *r, unsigned digits)
{
    unsigned n = 0;
    r->ok = r->ok && (size_t)(r->end - r->p) >= digits;
    for (unsigned i = 0; r->ok && i < digits; i++) {
        const unsigned digit = (unsigned)(uint8_t)*r->p - '0';
        r->ok = digit < 10;
        r->p += r->ok;
        n = n * 10 + digit;
    }
    return n;
}

static unsigned month(reader *r)
{
    for (unsigned i = 0; r->ok && r->end - r->p >= 3 && i < 12; i++) {
        if (memcmp(r->p, month_names + 3 * i, 3) == 0) {
            r->p += 3;
            return i + 1;
        }
    }
    r->ok = false;
    return 1;
}

/* The name of a day, three letters or all of it; returns its number, Sunday 0. */
static unsigned weekday(reader *r, bool whole)
{
    for (unsigned i = 0; i < 7; i++) {
        const size_t len = whole ? strlen(day_names[i]) : 3;
        if ((size_t)(r->end - r->p) >= len && memcmp(r->p, day_names[i], len) == 0) {
            r->p += len;
            return i;
        }
    }
    r->ok = false;
    return 0;
}

static unsigned clock_time(reader *r)
{
    const unsigned hour = number(r, 2);
    expect(r, ":", 1);
    const unsigned minute = number(r, 2);
    expect(r, ":", 1);
    const unsigned second = number(r, 2);
    r->ok = r->ok && hour < 24 && minute < 60 && second <= 60;
    return hour * 3600 + minute * 60 + (second == 60 ? 59 : second);
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* A two-digit year: the latest that is not more than 50 years ahead. */
static int64_t whole_year(unsigned two_digits, int64_t now_s)
{
    const int64_t now_year = civil_from_days(now_s / SECONDS_PER_DAY).year;
    int64_t year = now_year - now_year % 100 + two_digits;
    if (year > now_year + 50) {
        year -= 100;
    } else if (year <= now_year - 50) {
        year += 100;
    }
    return year;
}

bool asx_http_date_parse(asx_view text, int64_t now_s, int64_t *unix_s)
{
    reader r = { text.ptr, text.ptr + text.len, text.len >= 4 };
    civil date = { 1, 1, 1 };
    unsigned second;

    if (!r.ok) {
        return false;
    }
    const bool fixed = text.ptr[3] == ',', asctime_form = text.ptr[3] == ' ';
    const unsigned named_day = weekday(&r, !fixed && !asctime_form);
    if (asctime_form) { /* Sun Nov  6 08:49:37 1994 */
        expect(&r, " ", 1);
        date.month = month(&r);
        expect(&r, " ", 1);
        const bool one_digit = r.ok && r.p < r.end && *r.p == ' ';
        expect(&r, " ", one_digit);
        date.day = number(&r, one_digit ? 1 : 2);
        expect(&r, " ", 1);
        second = clock_time(&r);
        expect(&r, " ", 1);
        date.year = number(&r, 4);
    } else { /* Sun, 06 Nov 1994 08:49:37 GMT, or Sunday, 06-Nov-94 08:49:37 GMT */
        const char *const dash = fixed ? " " : "-";
        expect(&r, ", ", 2);
        date.day = number(&r, 2);
        expect(&r, dash, 1);
        date.month = month(&r);
        expect(&r, dash, 1);
        date.year = fixed ? number(&r, 4) : whole_year(number(&r, 2), now_s);
        expect(&r, " ", 1);
        second = clock_time(&r);
        expect(&r, " GMT", 4);
    }
    if (!r.ok || r.p != r.end || date.year < 1 || date.day < 1 ||
        date.day > month_days(date.year, date.month)) {
        return false;
    }
    const int64_t days = days_from_civil(date);
    *unix_s = days * SECONDS_PER_DAY + second;
    /* The name of the day is a check on the rest, except where the year was a guess. */
    return (!fixed && !asctime_form) || named_day == (unsigned)((days + 4 + 7 * 200000) % 7);
}
