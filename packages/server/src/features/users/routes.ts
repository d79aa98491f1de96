import type { Database } from "@hardshare/db";
import { AppError, formatNaiveUtc, NewUser, parseWith, type UsersList } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { FastifyInstance } from "fastify";
import type * as z from "zod";
import { callerOf, NEEDS_CALLER, requireSuperuser, requireWriter } from "../../http/caller.ts";

type UserView = z.infer<typeof UsersList>["users"][number];

/** `/admin/users`: superusers add and list accounts. */
export function addUserRoutes(app: FastifyInstance, deps: { database: Database; clock: Clock }): void {
  const { database, clock } = deps;

  app.post("/admin/users", NEEDS_CALLER, async (request): Promise<UserView> => {
    requireSuperuser(callerOf(request));
    requireWriter(callerOf(request));
    const { name } = parseWith(NewUser, request.body ?? {}, "request body");
    const at = new Date(clock.now());
    if (!(await database.transaction((tx) => database.users.add(tx, { name, at })))) {
      throw new AppError("conflict", `name: a user named ${name} exists already; choose another name`, { details: { field: "name" } });
    }
    return { name, created: formatNaiveUtc(at) };
  });

  app.get("/admin/users", NEEDS_CALLER, async (request): Promise<z.infer<typeof UsersList>> => {
    requireSuperuser(callerOf(request));
    const users = await database.transaction((tx) => database.users.list(tx));
    return { users: users.map((user) => ({ name: user.name, created: formatNaiveUtc(user.createdAt) })) };
  });
}
