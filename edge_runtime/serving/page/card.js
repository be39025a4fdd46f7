// What is known of a model.

import { byId, element, percent, text } from "./parts.js";

const size = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`);
const share = (value) => (typeof value === "number" ? percent(value) : "–");

const used = (card) => card.bundle?.artifacts?.find((entry) => entry.format === card.format);

export const threshold = (card) => card?.output?.unknown_threshold ?? null;

export function showShort(card) {
  const artifact = used(card);
  const accuracy = artifact?.parity?.accuracy;
  text(byId("model-name"), card.name);
  text(byId("model-more"), [
    `${card.class_names.length} classes`,
    card.format,
    artifact ? size(artifact.bytes) : "",
    typeof accuracy === "number" ? `accuracy ${percent(accuracy)}` : "",
  ].filter(Boolean).join(", "));
}

function facts(card) {
  const artifact = used(card), parity = artifact?.parity;
  const source = card.bundle?.source ?? {};
  const found = [
    ["Classes", card.class_names.length],
    ["Format", card.format],
    ["Interpreter", card.interpreter],
    ["Size", artifact && size(artifact.bytes)],
    ["Quantisation", artifact?.quantization],
    ["Accuracy", typeof parity?.accuracy === "number" && `${percent(parity.accuracy)} of ${parity.n} photos`],
    ["Same answer as the full model", typeof parity?.agreement === "number" && percent(parity.agreement)],
    ["Largest difference of a score", typeof parity?.max_abs_diff === "number" && parity.max_abs_diff.toPrecision(2)],
    ["Unknown below", threshold(card) === null ? "never: no threshold" : percent(threshold(card))],
    ["Looks at", `${card.input.width} × ${card.input.height} pixels (${card.preprocess.fit})`],
    ["Heat map", card.heatmap ? "yes" : card.no_heatmap ?? "no"],
  ];
  for (const [key, value] of [...Object.entries(card.about ?? {}), ...Object.entries(source)]) {
    if (["string", "number"].includes(typeof value) && value !== "" && !key.endsWith("sha256")) {
      found.push([(key[0].toUpperCase() + key.slice(1)).replaceAll("_", " "), value]);
    }
  }
  const versions = Object.entries(card.bundle?.versions ?? {}).filter(([, version]) => typeof version === "string");
  if (versions.length > 0) found.push(["Made with", versions.map((pair) => pair.join(" ")).join(", ")]);
  return found.filter(([, value]) => value !== undefined && value !== null && value !== false);
}

function showFormats(card) {
  const artifacts = card.bundle?.artifacts ?? [];
  const hidden = artifacts.length === 0;
  byId("formats-title").hidden = hidden;
  byId("formats").parentElement.hidden = hidden;
  const row = (tag, cells) => element("tr", {}, ...cells.map((cell) => element(tag, { textContent: cell })));
  const head = row("th", ["Format", "Size", "Accuracy", "Agreement", "Largest difference"]);
  for (const cell of head.children) cell.scope = "col";
  byId("formats").replaceChildren(element("thead", {}, head), element("tbody", {}, ...artifacts.map((entry) => {
    const parity = entry.parity ?? {}, mine = entry.format === card.format;
    const made = row("td", [
      entry.format + (mine ? " (in use)" : ""), typeof entry.bytes === "number" ? size(entry.bytes) : "–", share(parity.accuracy),
      share(parity.agreement), typeof parity.max_abs_diff === "number" ? parity.max_abs_diff.toPrecision(2) : "–",
    ]);
    made.className = mine ? "used" : "";
    return made;
  })));
}

export function open(card) {
  text(byId("card-title"), card.name);
  byId("card-facts").replaceChildren(...facts(card).map(([name, value]) => element(
    "div", { className: String(value).length > 40 ? "long" : "" }, element("dt", { textContent: name }), element("dd", { textContent: String(value) }),
  )));
  showFormats(card);
  const find = byId("find");
  find.value = "";
  const list = () => {
    const wanted = find.value.trim().toLowerCase();
    const items = card.class_names.map((name, value) => [name, value])
      .filter(([name]) => name.toLowerCase().includes(wanted));
    byId("classes").replaceChildren(...items.map(([textContent, value]) => element("li", { textContent, value })));
  };
  find.oninput = list;
  list();
  byId("card").showModal();
}
