import { expect, test } from "vitest";
import { HostName } from "./host-names.ts";

test("names and addresses are accepted", () => {
  for (const name of ["hub.example.org", "localhost", "203.0.113.7", "2001:db8::1", "::1", "my_hub", "a".repeat(253)]) {
    expect(HostName.parse(name)).toBe(name);
  }
});

test("what another program could take for an option, a token or a second line is refused", () => {
  const bad = [
    "",
    "-oProxyCommand=x",
    "x\nMatch all",
    "x y",
    "x\t",
    "%h",
    "$(id)",
    "`id`",
    "x;y",
    ".x",
    "x\0",
    "ü.example",
    "a".repeat(254),
  ];
  for (const name of bad) expect(() => HostName.parse(name)).toThrow(/expected a host name or an IP address/);
});
