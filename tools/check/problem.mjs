/**
 * @typedef {object} Problem What a check found, for a person: every part is a sentence or a place.
 * @property {string} file path from the repository's root
 * @property {number} [line] counts from 1
 * @property {string} what what is wrong
 * @property {string} [why] why it is not allowed
 * @property {string} [todo] what to do
 */

/** The problem as people read it: a place that editors open, then why and what to do. @param {Problem} problem */
export function formatProblem({ file, line, what, why, todo }) {
  const place = line === undefined ? file : `${file}:${line}`;
  return [`${place}  ${what}`, ...(why ? [`    why: ${why}`] : []), ...(todo ? [`    do:  ${todo}`] : [])].join("\n");
}
