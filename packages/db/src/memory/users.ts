import type { UserStore } from "../stores/users.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const users: OnData<UserStore> = {
  add(data, { name, at }) {
    if (data.users.get(name) !== undefined) return false;
    data.users.put({ name, createdAt: at });
    return true;
  },

  get: (data, name) => data.users.get(name) ?? null,

  list: (data) => sortBy(data.users.all(), (user) => [user.name]),
};
