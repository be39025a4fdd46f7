// An answer in words, bars and numbers.

import { byId, percent, showScores, text } from "./parts.js";

const ms = (value) => (typeof value === "number" ? `${value.toFixed(1)} ms` : "–");

const certain = (answer) => answer.calibrated_score ?? answer.score;

export const nameOf = (answer) => (answer.unknown ? "unknown" : answer.label);

export function inWords(answer) {
  const share = percent(certain(answer));
  return answer.unknown ? `Unknown. The nearest is ${answer.label}, ${share}.` : `${answer.label}, ${share}.`;
}

function why(answer, threshold) {
  if (answer.unknown) {
    const from = typeof threshold === "number" ? ` A name is given from ${percent(threshold)} on.` : "";
    return `The nearest class, ${answer.label}, reaches only ${percent(certain(answer))}.${from}`;
  }
  if (answer.unknown === null) return "This model always names a class, also for what it has never seen.";
  return "";
}

export function show(answer, threshold, of) {
  byId("label").className = answer.unknown ? "unknown" : "label";
  text(byId("label"), nameOf(answer));
  text(byId("reason"), why(answer, threshold));
  text(byId("score-name"), answer.calibrated_score === null ? "Score" : "Calibrated score");
  text(byId("score"), percent(certain(answer)));
  text(byId("infer"), ms(answer.ms?.infer));
  text(byId("total"), ms(answer.ms?.total));
  text(byId("of"), of);
  text(byId("scores-title"), answer.calibrated_score === null ? "Best classes" : "Best classes, scores before calibration");
  showScores(byId("scores"), answer.top);
}

export function showNone(words, of = "\u00a0") {
  byId("label").className = "none";
  text(byId("label"), words);
  for (const id of ["score", "infer", "total"]) text(byId(id), "–");
  text(byId("reason"), "");
  text(byId("of"), of);
  showScores(byId("scores"), []);
}
