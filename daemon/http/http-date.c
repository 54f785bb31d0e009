/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http-date.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HTTP_DATE_NS_PER_SECOND UINT64_C(1000000000)

typedef struct HttpDate {
        unsigned year, day, hour, minute, second;
        char month[4];
} HttpDate;

/* Days from 1970-01-01 to the first of the month, in the Gregorian calendar. */
static uint64_t http_date_days(unsigned year, unsigned month) {
        static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
        unsigned last = year - 1; /* the last full year, and the leap days up to its end */
        uint64_t days = last * UINT64_C(365) + last / 4 - last / 100 + last / 400;
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days - 719162 + before[month] + (leap && month > 1);
}

/* A year of two digits that seems more than 50 years ahead was meant in the past century. */
static unsigned http_date_full_year(unsigned year, uint64_t now_unix_ns) {
        unsigned now = 1970 + (unsigned)(now_unix_ns / HTTP_DATE_NS_PER_SECOND / 31556952);
        unsigned full = now - now % 100 + year;

        return full > now + 50 ? full - 100 : full;
}

static bool http_date_scan(HttpDate *date, const char *text, uint64_t now_unix_ns) {
        int n = 0;

        if (sscanf(text, "%*3[A-Za-z], %2u %3[A-Za-z] %4u %2u:%2u:%2u GMT%n", &date->day,
                   date->month, &date->year, &date->hour, &date->minute, &date->second, &n) == 6 &&
            n && !text[n])
                return true;
        n = 0;
        if (sscanf(text, "%*[A-Za-z], %2u-%3[A-Za-z]-%2u %2u:%2u:%2u GMT%n", &date->day,
                   date->month, &date->year, &date->hour, &date->minute, &date->second, &n) == 6 &&
            n && !text[n]) {
                date->year = http_date_full_year(date->year, now_unix_ns);
                return true;
        }
        n = 0;
        return sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2u %2u:%2u:%2u %4u%n", date->month, &date->day,
                      &date->hour, &date->minute, &date->second, &date->year, &n) == 6 &&
               n && !text[n];
}

bool http_date_parse(uint64_t *unix_secondsp, const char *text, uint64_t now_unix_ns) {
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        const char *month;
        HttpDate date;

        if (!http_date_scan(&date, text, now_unix_ns) || strlen(date.month) != 3)
                return false;
        month = strstr(months, date.month);
        if (!month || (month - months) % 3 || date.year < 1970 || date.year > 9999 || !date.day ||
            date.day > 31 || date.hour > 23 || date.minute > 59 || date.second > 60)
                return false;
        *unix_secondsp = (http_date_days(date.year, (month - months) / 3) + date.day - 1) * 86400 +
                         date.hour * 3600 + date.minute * 60 + date.second;
        return true;
}

bool http_date_retry_after(uint64_t *delay_nsp, const char *value, uint64_t now_unix_ns) {
        size_t n_digits = strspn(value, "0123456789");
        uint64_t seconds = 0;

        if (n_digits && !value[n_digits]) {
                for (const char *p = value; *p && seconds < UINT32_MAX; p++)
                        seconds = seconds * 10 + (*p - '0');
                if (seconds > UINT32_MAX)
                        seconds = UINT32_MAX;
                *delay_nsp = seconds * HTTP_DATE_NS_PER_SECOND;
                return true;
        }
        if (!http_date_parse(&seconds, value, now_unix_ns))
                return false;
        if (seconds > UINT32_MAX * UINT64_C(4))
                seconds = UINT32_MAX * UINT64_C(4);
        seconds *= HTTP_DATE_NS_PER_SECOND;
        *delay_nsp = seconds > now_unix_ns ? seconds - now_unix_ns : 0;
        return true;
}
