import { z } from "zod";

const HTTP_PATTERN = /^(\*|[A-Z]+) (\/[^\s?#]*)$/;
const HttpPattern = z.string().regex(HTTP_PATTERN, "expected METHOD /path, such as `GET /api/sensors` or `POST /api/drive/*`");

const AllowRule = z.strictObject({ allow: HttpPattern, because: z.string().optional() });
const BlockRule = z.strictObject({ block: HttpPattern, because: z.string().optional() });

/**
 * The rules file of the `http` filter. The first rule whose pattern matches decides; `default` decides the rest.
 * In a path, `{name}` stands for one segment and a final `/*` for one or more; the method may be `*`.
 */
export const HttpFilterRules = z.strictObject({
  default: z.enum(["allow", "block"]).default("block"),
  rules: z.array(z.union([AllowRule, BlockRule])).default([]),
});
export type HttpFilterRules = z.infer<typeof HttpFilterRules>;
