import { expect, test } from "vitest";
import { decideAccess } from "./access-policy.ts";

const bob = { user: "bob", org: null, isGuest: false };
const guest = { user: "sandbox_anon_1", org: null, isGuest: true };
const allow = (user: string) => ({ user, capability: "CAP_INSTANTIATE" as const });
const deny = (user: string) => ({ user, capability: "CAP_NO_INSTANTIATE" as const });

test("no rule means no, except for the owner and members of the owning organisation", () => {
  expect(decideAccess("alice", [], bob).isAllowed).toBe(false);
  expect(decideAccess("bob", [], bob).isAllowed).toBe(true);
  expect(decideAccess("lab", [], { ...bob, org: "lab" }).isAllowed).toBe(true);
});

test("an explicit allow beats an explicit deny of the same level, and a level nearer to the user beats a wider one", () => {
  expect(decideAccess("alice", [deny("bob"), allow("bob")], bob).isAllowed).toBe(true);
  expect(decideAccess("alice", [deny("bob"), allow("*")], bob).isAllowed).toBe(false);
  expect(decideAccess("alice", [deny("*"), allow("bob")], bob).isAllowed).toBe(true);
});

test("a rule for guests concerns guests only", () => {
  const rules = [deny("type:anon"), allow("*")];
  expect(decideAccess("alice", rules, guest).isAllowed).toBe(false);
  expect(decideAccess("alice", rules, bob).isAllowed).toBe(true);
});

test("a guest whose name equals the owner's is no owner", () => {
  expect(decideAccess("sandbox_anon_1", [], guest).isAllowed).toBe(false);
});
