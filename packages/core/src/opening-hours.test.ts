import { Hours } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { openStateAt } from "./opening-hours.ts";

/** What is said at a moment (UTC): open or closed, and until when. */
function stateAt(at: string, open: string[], timeZone = "Europe/Berlin"): string {
  const { isOpen, changesAtMs } = openStateAt(Hours.parse({ time_zone: timeZone, open }), Date.parse(at));
  return `${isOpen ? "open" : "closed"} until ${changesAtMs === null ? "ever" : new Date(changesAtMs).toISOString().slice(0, 16)}`;
}

test.each([
  // 2026-01-05 is a Monday; Berlin is UTC+1 in winter, UTC+2 in summer
  ["2026-01-05T06:59:59Z", ["mon-fri 08:00-18:00"], "closed until 2026-01-05T07:00"],
  ["2026-01-05T07:00:00Z", ["mon-fri 08:00-18:00"], "open until 2026-01-05T17:00"],
  ["2026-01-09T17:00:00Z", ["mon-fri 08:00-18:00"], "closed until 2026-01-12T07:00"],
  ["2026-07-06T06:00:00Z", ["mon-fri 08:00-18:00"], "open until 2026-07-06T16:00"],
  ["2026-01-06T00:30:00Z", ["mon 22:00-02:00"], "open until 2026-01-06T01:00"],
  ["2026-01-06T01:00:00Z", ["mon 22:00-02:00"], "closed until 2026-01-12T21:00"],
  ["2026-01-09T20:00:00Z", ["fri 18:00-24:00", "sat 00:00-10:00"], "open until 2026-01-10T09:00"],
  ["2026-01-05T10:00:00Z", ["mon 08:00-12:00", "mon 11:00-13:00"], "open until 2026-01-05T12:00"],
  ["2026-01-05T10:00:00Z", ["mon-sun 00:00-24:00"], "open until ever"],
  ["2026-01-04T10:00:00Z", ["sat-mon 10:00-14:00"], "open until 2026-01-04T13:00"],
])("at %s with %s it is %s", (at, open, said) => {
  expect(stateAt(at, open)).toBe(said);
});

test("the days on which the clock is put forward and back open and close by that clock", () => {
  // Europe/Berlin: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00
  expect(stateAt("2026-03-29T05:00:00Z", ["sun 08:00-18:00"])).toBe("closed until 2026-03-29T06:00");
  expect(stateAt("2026-03-29T00:30:00Z", ["sun 01:00-04:00"])).toBe("open until 2026-03-29T02:00");
  expect(stateAt("2026-10-24T23:30:00Z", ["sun 01:00-04:00"])).toBe("open until 2026-10-25T03:00");
  expect(stateAt("2026-10-25T10:00:00Z", ["sun 08:00-18:00"])).toBe("open until 2026-10-25T17:00");
});

test("time zones are those of the whole world", () => {
  expect(stateAt("2026-01-05T00:00:00Z", ["mon 08:00-18:00"], "Asia/Tokyo")).toBe("open until 2026-01-05T09:00");
  expect(stateAt("2026-01-05T00:00:00Z", ["sun 08:00-20:00"], "Pacific/Honolulu")).toBe("open until 2026-01-05T06:00");
  expect(stateAt("2026-01-05T03:00:00Z", ["mon 08:00-18:00"], "Asia/Kathmandu")).toBe("open until 2026-01-05T12:15");
});

test.each(["mon 8-18", "mon 08:00", "mon 08:60-18:00", "mon 25:00-26:00", "mon 08:00-08:00", "day 08:00-18:00", "mon 24:00-02:00", ""])(
  "`%s` is refused",
  (text) => {
    expect(Hours.safeParse({ time_zone: "UTC", open: [text] }).error?.message).toContain("expected days and times");
  },
);

test("a time zone that there is not is refused", () => {
  expect(Hours.safeParse({ time_zone: "Berlin", open: ["mon 08:00-18:00"] }).error?.message).toContain("Europe/Berlin");
});
