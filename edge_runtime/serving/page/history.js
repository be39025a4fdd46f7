// The photos of this visit, in memory only.

import { nameOf } from "./answer.js";
import { byId, element, percent } from "./parts.js";

const SIDE = 160;

export const entries = [];

export function add(blob, name) {
  const entry = { blob, name, url: URL.createObjectURL(blob), answer: null, error: null, note: "", state: "waiting" };
  entries.unshift(entry);
  entry.thumbnail = element("canvas", { width: SIDE, height: SIDE * 0.75 });
  entry.thumbnail.setAttribute("aria-hidden", "true");
  return entry;
}

/** Its size in pixels, upright; null where the browser cannot show it, as HEIC in most. */
export async function look(entry) {
  const image = new Image();
  image.src = entry.url;
  try {
    await image.decode();
  } catch {
    return null;
  }
  const { width, height } = entry.thumbnail;
  const scale = Math.max(width / image.naturalWidth, height / image.naturalHeight);
  const w = image.naturalWidth * scale, h = image.naturalHeight * scale;
  entry.thumbnail.getContext("2d").drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
  return { width: image.naturalWidth, height: image.naturalHeight };
}

function line(entry, current, choose) {
  let words = { waiting: "Waiting", asking: "Asking" }[entry.state], kind = "";
  if (entry.error) [words, kind] = ["No answer", "failed"];
  else if (entry.answer) [words, kind] = [nameOf(entry.answer), entry.answer.unknown ? "unknown" : ""];
  const share = entry.answer ? percent(entry.answer.calibrated_score ?? entry.answer.score) : "";
  const button = element(
    "button", { type: "button" }, entry.thumbnail,
    element("span", { className: `name ${kind}`, textContent: words }),
    element("small", { textContent: [share, entry.name].filter(Boolean).join(" · ") }),
  );
  if (entry === current) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => choose(entry));
  return element("li", {}, button);
}

export function show(current, choose) {
  const list = byId("history");
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  const held = focused >= 0 ? list.children[focused].entry : null;
  list.replaceChildren(...entries.map((entry) => Object.assign(line(entry, current, choose), { entry })));
  if (held) [...list.children].find((item) => item.entry === held)?.firstChild.focus();
  byId("clear").disabled = entries.length === 0;
  list.hidden = entries.length === 0;
  const open = entries.filter((entry) => !entry.answer && !entry.error).length;
  byId("progress").textContent = open > 0 ? `${entries.length - open} of ${entries.length} answered` : "";
}

export function clear() {
  for (const entry of entries.splice(0)) URL.revokeObjectURL(entry.url);
}
