import * as z from "zod";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const MINUTES_PER_DAY = 24 * 60;

const DAY = `(?:${DAYS.join("|")})`;
const OPENING = new RegExp(String.raw`^(${DAY})(?:-(${DAY}))? +(\d\d):(\d\d)-(\d\d):(\d\d)$`);

/** A part of the week in which the lab is open, in minutes after the beginning of a day (0: Monday). May go on into the next day. */
export interface Opening {
  day: number;
  fromMinute: number;
  /** More than `fromMinute`, at most a day later. */
  toMinute: number;
}

/** `mon-fri 08:00-18:00`; becomes one opening for each day. */
const Openings = z.string().transform((text, context): Opening[] => {
  const openings = readOpenings(text);
  if (openings !== undefined) return openings;
  context.addIssue({ code: "custom", message: "expected days and times, such as `mon-fri 08:00-18:00` or `sat 22:00-02:00`" });
  return z.NEVER;
});

const TimeZone = z
  .string()
  .refine(isTimeZone, "expected the name of a time zone, such as Europe/Berlin")
  .describe("Whose clock the times are read on, such as `Europe/Berlin`.");

/** When the deployment can be used. */
export const Hours = z
  .strictObject({
    time_zone: TimeZone,
    open: z
      .array(Openings)
      .min(1, "expected days and times; without `hours` it is always open")
      .max(100)
      .transform((lists) => lists.flat())
      .describe("Days and times, such as `mon-fri 08:00-18:00`; one that ends before it begins goes on into the next day."),
  })
  .describe("When the deployment can be used; outside of them it rests, and an instance ends when they do.");
export type Hours = z.infer<typeof Hours>;

/** @returns undefined for what is none */
function readOpenings(text: string): Opening[] | undefined {
  const parts = OPENING.exec(text.trim().toLowerCase());
  if (parts === null) return undefined;
  const [firstDay, lastDay] = [dayOf(parts[1]), dayOf(parts[2] ?? parts[1])];
  const [from, to] = [minutesOf(parts[3], parts[4]), minutesOf(parts[5], parts[6])];
  if (from === undefined || to === undefined || from === to || from === MINUTES_PER_DAY) return undefined;
  const count = ((lastDay - firstDay + DAYS.length) % DAYS.length) + 1;
  return Array.from({ length: count }, (_, index) => ({
    day: (firstDay + index) % DAYS.length,
    fromMinute: from,
    toMinute: to > from ? to : to + MINUTES_PER_DAY,
  }));
}

function dayOf(name: string | undefined): number {
  return DAYS.findIndex((day) => day === name);
}

function minutesOf(hours: string | undefined, minutes: string | undefined): number | undefined {
  const total = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && total <= MINUTES_PER_DAY ? total : undefined;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
