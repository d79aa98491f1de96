import type { UserStore } from "../stores/users.ts";
import { sqlOf } from "./transaction.ts";

export const users: UserStore = {
  async add(tx, { name, at }) {
    const rows = await sqlOf(tx)
      .insertInto("users")
      .values({ name, createdAt: at })
      .onConflict((conflict) => conflict.doNothing())
      .returning("name")
      .execute();
    return rows.length > 0;
  },

  async get(tx, name) {
    return (await sqlOf(tx).selectFrom("users").selectAll().where("name", "=", name).executeTakeFirst()) ?? null;
  },

  async list(tx) {
    return await sqlOf(tx).selectFrom("users").selectAll().orderBy("name").execute();
  },
};
