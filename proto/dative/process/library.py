"""The functions themselves: one line each, read by `functions`, which says what a line means."""

from __future__ import annotations

from typing import Literal

Category = Literal["own", "text", "number", "date", "condition", "json", "list", "set"]

# (category, signature, doc, example, its result as the engine prints it, or the reason why there is none)
TABLE: tuple[tuple[Category, str, str, str, str], ...] = (
    ("own",
     "currency(amount: number, from: text, to: text, on => date, rates => const text, rounding => const text) "
     "-> decimal",
     "Converts an amount by the dated rates table, in exact decimals, rounded to the minor units of `to`, half to even "
     "or as `rounding` says (as of precision()). `on`: the day of the rate, by default the day the execution started. "
     "`rates`: the table, where there are several. A missing rate is an error, never 0 or 1; the same currency needs none; a NULL "
     "amount stays NULL.", "currency(AnnualRevenue, CurrencyIsoCode, 'EUR', on => CloseDate)", ""),
    ("own", "date(value: text, format: const text, *formats: const text) -> date",
     "Reads a date in one of the given formats (%d %m %Y %y %b %B …). A text that fits none is an error of that "
     "document. There is no reading without a format: 01/02/03 has six.", "date(Customer_Since__c, '%m/%d/%Y')", ""),
    ("own", "timestamp(value: text, format: const text, *formats: const text, zone => const text, gap => const text, "
     "fold => const text) -> timestamp",
     "Reads a date and time. `zone`: IANA name of the zone it was written in, by default UTC. `gap`: a time that a clock "
     "change skipped is an 'error', or is moved on by the gap with 'shift'. `fold`: a time that a clock change brings "
     "twice is the 'later' one, the 'earlier' one, or an 'error'.",
     "timestamp(Shipped__c, '%d.%m.%Y %H:%M', zone => 'Europe/Berlin')", ""),
    ("own", "number(value: text, scale => const integer) -> decimal",
     "Reads a decimal number, strictly: digits, a sign, a point; no thousands separators. `scale`: digits after "
     "the point, 0..18, by default 6.", "number(Credit_Limit__c)", ""),
    ("own", "xref(table: const text, …! => any, want! => const text, missing => const text) -> text",
     "Looks a reference up in a cross-reference table: `xref('account-customer', salesforce => Id, want => "
     "'erp')`, by one column or by several together. A missing row is an error of that document, or NULL with missing => "
     "'null'. A NULL key gives NULL.", "xref('account-customer', salesforce => Id, want => 'erp')", ""),
    ("own", "cache(name: const text, key! => any, want! => const text, missing => const text) -> any",
     "What the execution's cache of that name holds under a key of one field: of the last document that `cache_add` kept. "
     "A miss is an error of that document, or NULL with missing => 'null'. A NULL key gives NULL.",
     "cache('customers', key => AccountId, want => 'Tier')", ""),
    ("own", "param(name: const text) -> text",
     "The value of a parameter of the process, as the environment sets it.", "param('company_code')", ""),
    ("own", "property(name: const text) -> any", "What is known about the execution (the names are listed below), and what "
     "`set_properties` has set.",
     "property('execution.started_at')", ""),
    ("own", "lookup(table: const text, …! => any, want! => const text, missing => const text) -> text",
     "Looks a text up in a table of kind lookup, by one key column or by several together. A missing row is an error of "
     "that document, or NULL with missing => 'null'. A NULL key gives NULL.",
     "lookup('countries', code => Country, want => 'name')", ""),
    ("own", "sequence(name: const text, key => any) -> integer",
     "The next number of a table of kind sequence, of its environment. A number is on disk before it is used, so a kill "
     "skips numbers and never gives one twice. `key`: the same key always gets the same number, also after a kill and "
     "when a dead letter is retried.", "sequence('invoice-no', key => OrderId)", ""),

    ("text", "concat(*values: any) -> text", "Joins texts; NULL counts as empty.", "concat('a', NULL, 'b')", "ab"),
    ("text", "concat_ws(separator: text, *values: any) -> text",
     "Joins texts with a separator that stands only between values that are there.",
     "concat_ws(' ', 'Ada', NULL, 'L')", "Ada L"),
    ("text", "upper(value: text) -> text", "Upper case.", "upper('abc')", "ABC"),
    ("text", "lower(value: text) -> text", "Lower case.", "lower('ABC')", "abc"),
    ("text", "trim(value: text, characters?: text) -> text",
     "Without spaces, or the given characters, at both ends.", "trim('  a ')", "a"),
    ("text", "ltrim(value: text, characters?: text) -> text", "The same at the left end.", "ltrim('00042', '0')", "42"),
    ("text", "rtrim(value: text, characters?: text) -> text", "The same at the right end.", "rtrim('a.. ', '. ')", "a"),
    ("text", "length(value: text) -> integer", "Characters in a text.", "length('Zoë')", "3"),
    ("text", "left(value: text, count: integer) -> text", "The first characters.", "left('abcdef', 2)", "ab"),
    ("text", "right(value: text, count: integer) -> text", "The last characters.", "right('abcdef', 2)", "ef"),
    ("text", "substring(value: text, start: integer, length?: integer) -> text",
     "A part of a text; the first character is 1.", "substring('abcdef', 2, 3)", "bcd"),
    ("text", "split_part(value: text, separator: text, index: integer) -> text",
     "One part of a separated text; the first is 1.", "split_part('a-b-c', '-', 2)", "b"),
    ("text", "replace(value: text, old: text, new: text) -> text", "Replaces every occurrence.",
     "replace('1.234', '.', '')", "1234"),
    ("text", "translate(value: text, old: text, new: text) -> text", "Replaces character by character.",
     "translate('a-b', '-', '_')", "a_b"),
    ("text", "lpad(value: text, length: const integer<=1000, fill: text) -> text", "Fills up on the left, or cuts.",
     "lpad('42', 5, '0')", "00042"),
    ("text", "rpad(value: text, length: const integer<=1000, fill: text) -> text", "Fills up on the right, or cuts.",
     "rpad('ab', 4, '.')", "ab.."),
    ("text", "reverse(value: text) -> text", "Backwards.", "reverse('abc')", "cba"),
    ("text", "instr(value: text, part: text) -> integer", "Where a part begins, from 1; 0 when it is not there.",
     "instr('abc', 'c')", "3"),
    ("text", "contains(value: text, part: text) -> boolean", "Whether a part is there.", "contains('abc', 'b')",
     "True"),
    ("text", "starts_with(value: text, part: text) -> boolean", "Whether it begins so.", "starts_with('abc', 'ab')",
     "True"),
    ("text", "ends_with(value: text, part: text) -> boolean", "Whether it ends so.", "ends_with('abc', 'bc')", "True"),
    ("text", "strip_accents(value: text) -> text", "Without accents.", "strip_accents('Zoë')", "Zoe"),
    ("text", "regexp_matches(value: text, pattern: const text, options?: const text) -> boolean",
     "Whether a regular expression (RE2) is found.", "regexp_matches('DE123', '^[A-Z]{2}[0-9]+$')", "True"),
    ("text", "regexp_extract(value: text, pattern: const text, group?: const integer) -> text",
     "What a regular expression finds; empty when nothing.", "regexp_extract('No. 42', '([0-9]+)', 1)", "42"),
    ("text", "regexp_replace(value: text, pattern: const text, new: text, options?: const text) -> text",
     "Replaces what a regular expression finds; option 'g' everywhere.",
     "regexp_replace('+49 (0)30', '[^0-9]', '', 'g')", "49030"),
    ("text", "kana(value: text, to: const text) -> text",
     "Japanese kana: to 'katakana', 'hiragana', 'full' (half-width katakana to full width) or 'half'. Other characters "
     "stay.", "kana('ひらがな', 'katakana')", "ヒラガナ"),
    ("text", "ascii(value: text) -> integer", "Code of the first character.", "ascii('A')", "65"),
    ("text", "chr(code: integer) -> text", "The character of a code.", "chr(65)", "A"),
    ("text", "url_encode(value: text) -> text", "Escaped for a URL.", "url_encode('a b&c')", "a%20b%26c"),
    ("text", "url_decode(value: text) -> text", "The reverse of it.", "url_decode('a%20b')", "a b"),
    ("text", "md5(value: text) -> text", "MD5 as hex: a fingerprint for keys of other systems, no protection.",
     "md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
    ("text", "sha256(value: text) -> text", "SHA-256 as hex. To protect a value use a mask.", "left(sha256('a'), 8)",
     "ca978112"),

    ("number", "abs(value: number) -> @value", "Without its sign.", "abs(-2)", "2"),
    ("number", "round(value: number, digits?: integer) -> @value", "Rounded half away from zero.", "round(2.345, 2)",
     "2.35"),
    ("number", "precision(value: any, digits: const integer<=10, rounding => const text) -> decimal",
     "An exact decimal with so many digits after the point. `rounding`: half_even (the default), half_up (away from zero "
     "at the half), up (away from zero), down (towards zero), ceiling, floor. 18 digits before the point, or it is an "
     "error.", "precision(2.345, 2)", "2.34"),
    ("number", "round_currency(amount: any, currency: text, rounding => const text) -> decimal",
     "An amount rounded to the minor units of its currency: none for JPY, two for EUR, three for KWD. `rounding`: as of "
     "precision().", "round_currency(2.345, 'EUR', rounding => 'half_up')", "2.35"),
    ("number", "number_format(value: any, pattern: const text, decimal => const text, group => const text, "
     "rounding => const text) -> text",
     "A number as text by a pattern such as '#,##0.00': 0 is a digit that always stands, # one that stands when it is "
     "there, a comma groups by three; texts before and after stay. `decimal`, `group`: the signs, by default . and ,.",
     "number_format(-1234.5, '#,##0.00 EUR', decimal => ',', group => '.')", "-1.234,50 EUR"),
    ("number", "trunc(value: number, digits?: integer) -> number", "Towards zero.", "trunc(-2.78, 1)", "-2.7"),
    ("number", "floor(value: number) -> number", "Down.", "floor(-2.1)", "-3"),
    ("number", "ceil(value: number) -> number", "Up.", "ceil(2.1)", "3"),
    ("number", "sign(value: number) -> integer", "-1, 0 or 1.", "sign(-7)", "-1"),
    ("number", "mod(value: number, divisor: number) -> @value", "The rest of a division.", "mod(7, 3)", "1"),
    ("number", "power(value: number, exponent: number) -> double", "A power.", "power(2, 3)", "8.0"),
    ("number", "sqrt(value: number) -> double", "Square root.", "sqrt(9)", "3.0"),
    ("number", "greatest(*values: any) -> @values", "The largest; NULL is left out.", "greatest(1, NULL, 3)", "3"),
    ("number", "least(*values: any) -> @values", "The smallest; NULL is left out.", "least(2, NULL, 3)", "2"),

    ("date", "year(value: temporal) -> integer", "The year.", "year(DATE '2024-03-05')", "2024"),
    ("date", "quarter(value: temporal) -> integer", "The quarter, 1..4.", "quarter(DATE '2024-03-05')", "1"),
    ("date", "month(value: temporal) -> integer", "The month, 1..12.", "month(DATE '2024-03-05')", "3"),
    ("date", "week(value: temporal) -> integer", "The ISO week.", "week(DATE '2024-01-01')", "1"),
    ("date", "day(value: temporal) -> integer", "The day of the month.", "day(DATE '2024-03-05')", "5"),
    ("date", "isodow(value: temporal) -> integer", "The day of the week, Monday is 1.", "isodow(DATE '2024-03-05')",
     "2"),
    ("date", "dayofyear(value: temporal) -> integer", "The day of the year.", "dayofyear(DATE '2024-02-01')", "32"),
    ("date", "hour(value: any) -> integer", "The hour of a time or timestamp.",
     "hour(TIMESTAMP '2024-03-05 10:20:30')", "10"),
    ("date", "minute(value: any) -> integer", "The minute.", "minute(TIMESTAMP '2024-03-05 10:20:30')", "20"),
    ("date", "second(value: any) -> integer", "The second.", "second(TIMESTAMP '2024-03-05 10:20:30')", "30"),
    ("date", "date_trunc(part: const text, value: temporal) -> timestamp",
     "The beginning of the year, month, week, day, hour.", "date_trunc('month', DATE '2024-03-05')",
     "2024-03-01 00:00:00"),
    ("date", "date_diff(part: const text, from: temporal, to: temporal) -> integer",
     "Borders of a part between two dates.", "date_diff('day', DATE '2024-02-28', DATE '2024-03-01')", "2"),
    ("date", "last_day(value: temporal) -> date", "The last day of the month.", "last_day(DATE '2024-02-05')",
     "2024-02-29"),
    ("date", "make_date(year: integer, month: integer, day: integer) -> date", "A date from its parts.",
     "make_date(2024, 3, 5)", "2024-03-05"),
    ("date", "strftime(value: temporal, format: const text) -> text", "A date or timestamp as text.",
     "strftime(DATE '2024-03-05', '%d.%m.%Y')", "05.03.2024"),
    ("date", "epoch_ms(value: temporal) -> integer", "Milliseconds since 1970.",
     "epoch_ms(TIMESTAMP '1970-01-01 00:00:01')", "1000"),
    ("date", "monthname(value: temporal) -> text", "The month's English name.", "monthname(DATE '2024-03-05')", "March"),
    ("date", "dayname(value: temporal) -> text", "The day's English name.", "dayname(DATE '2024-03-05')", "Tuesday"),
    ("date", "isoyear(value: temporal) -> integer", "The year that the ISO week belongs to.",
     "isoyear(DATE '2024-12-30')", "2025"),
    ("date", "date_add(value: temporal, amount: integer, part: const text, zone => const text) -> @value",
     "Adds (or with a negative amount subtracts) years, quarters, months, weeks, days, hours, minutes or seconds. The 31st "
     "and a month is the last day of the next. `zone`: days and longer are added to the clock of that zone, so that "
     "9:00 stays 9:00 across a clock change.", "date_add(DATE '2024-01-31', 1, 'month')", "2024-02-29"),
    ("date", "date_sub(part: const text, from: temporal, to: temporal) -> integer",
     "Complete parts between two dates.", "date_sub('month', DATE '2024-01-31', DATE '2024-03-01')", "1"),
    ("date", "local_date(value: timestamp, zone: const text) -> date", "The day that an instant falls on in a zone.",
     "local_date(TIMESTAMPTZ '2024-07-01 23:30:00+00', 'Europe/Paris')", "2024-07-02"),
    ("date", "format_timestamp(value: temporal, format: const text, zone => const text) -> text",
     "An instant as text, as the clocks of a zone show it, by default UTC. Reading with one zone and writing with "
     "another converts.",
     "format_timestamp(TIMESTAMPTZ '2024-07-01 10:00:00+00', '%H:%M', zone => 'Europe/Paris')", "12:00"),
    ("date", "today(zone => const text) -> date",
     "The day on which the execution started, by default in UTC; the same after a resume.",
     "today(zone => 'Europe/Paris')", ""),

    ("condition", "coalesce(*values: any) -> @values", "The first value that is not NULL.", "coalesce(NULL, 'a')", "a"),
    ("condition", "ifnull(value: any, otherwise: any) -> @value", "The value, or the other one when it is NULL.",
     "ifnull(NULL, 'a')", "a"),
    ("condition", "nullif(value: any, other: any) -> @value", "NULL when both are equal.", "nullif('', '')", "None"),
    ("condition", "if(condition: boolean, then: any, otherwise: any) -> @then",
     "One of two values; CASE WHEN in short.", "if(1 < 2, 'a', 'b')", "a"),

    ("json", "json_extract_string(value: json, path: const text) -> text", "A value inside JSON, as text.",
     '''json_extract_string('{"a": {"b": 1}}', '$.a.b')''', "1"),
    ("json", "json_extract(value: json, path: const text) -> json", "A part of JSON, as JSON.",
     '''json_extract('{"a": [1]}', '$.a')''', "[1]"),
    ("json", "json_array_length(value: json, path?: const text) -> integer", "Items in a JSON list.",
     "json_array_length('[1, 2]')", "2"),
    ("json", "parse_json(value: json, type: const text) -> any",
     "JSON as a list or struct of that type, 'list({sku: text, qty: integer})', for each, unnest and list functions. A "
     "field that is not there is NULL, one that the type does not name is left out, a value of another type is an error. "
     "Numbers keep 16 digits.",
     """parse_json('[{"sku": "a"}]', 'list({sku: text})')""", "[{'sku': 'a'}]"),
    ("json", "json_valid(value: text) -> boolean", "Whether a text is JSON.", "json_valid('{}')", "True"),

    ("list", "list_count(value: list) -> integer", "Items in a list; NULL for no list.", "list_count([1, 2])", "2"),
    ("list", "list_get(value: list, index: integer) -> any", "One item; the first is 1, the last -1, NULL where none is.",
     "list_get(['a', 'b'], -1)", "b"),
    ("list", "list_join(value: list, separator: text) -> text", "The items as one text.", "list_join(['a', 'b'], ', ')",
     "a, b"),
    ("list", "list_sum(value: list) -> number", "The sum of a list of numbers.", "list_sum([1, 2])", "3"),
    ("list", "list_min(value: list) -> any", "The smallest item.", "list_min([2, 1])", "1"),
    ("list", "list_max(value: list) -> any", "The largest item.", "list_max([2, 1])", "2"),
    ("list", "list_contains(value: list, item: any) -> boolean", "Whether an item is there.",
     "list_contains(['a'], 'a')", "True"),
    ("list", "list_distinct(value: list) -> list", "Every item once, sorted.", "list_distinct(['b', 'a', 'b'])",
     "['a', 'b']"),
    ("list", "pluck(value: list, field: const text) -> list", "One field of every item of a list of structs.",
     "list_sum(pluck(lines, 'amount'))", ""),

    ("set", "line_number(by => any) -> integer",
     "1, 2, 3 … in the order of the documents.", "line_number(by => OrderId)", ""),
    ("set", "running_total(value: number, by => any) -> number",
     "The sum of the value up to and with this document.", "running_total(Amount, by => OrderId)", ""),
    ("set", "group_total(value: number, by => any) -> number", "The sum over all documents.",
     "Amount / group_total(Amount, by => OrderId)", ""),
    ("set", "group_count(by => any) -> integer", "How many documents there are.", "group_count(by => OrderId)", ""),
)  # fmt: skip
