import { expect, test } from "vitest";
import { chooseByPrefix } from "./choose-by-prefix.ts";

const words = { noun: "instance", whenNone: "launch one" };
const choices = [{ ids: ["aa11", "dd01"] }, { ids: ["aa22", "dd02"] }, { ids: ["aa2"] }];

test("the beginning of any of its ids is enough when it is the only one", () => {
  expect(chooseByPrefix("aa1", choices, words)).toBe(choices[0]);
  expect(chooseByPrefix("DD02", choices, words)).toBe(choices[1]);
});

test("a whole id wins over a longer one that begins with it", () => {
  expect(chooseByPrefix("aa2", choices, words)).toBe(choices[2]);
});

test("without a text, the only one is meant", () => {
  expect(chooseByPrefix(undefined, choices.slice(0, 1), words)).toBe(choices[0]);
  expect(() => chooseByPrefix(undefined, [], words)).toThrow("there is no instance to choose: launch one");
  expect(() => chooseByPrefix(undefined, choices, words)).toThrow("there are 3 instances, so say which one: aa11, aa22, aa2");
});

test("what means several or none is refused with a code and a list", () => {
  expect(() => chooseByPrefix("aa", choices, words)).toThrow(
    expect.objectContaining({ code: "bad_input", message: expect.stringContaining("aa11, aa22, aa2") as string }) as Error,
  );
  expect(() => chooseByPrefix("zz", choices, words)).toThrow(expect.objectContaining({ code: "not_found" }) as Error);
  expect(() => chooseByPrefix("", choices, words)).toThrow(expect.objectContaining({ code: "not_found" }) as Error);
});
