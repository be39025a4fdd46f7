// What the pages have in common.

export const byId = (id) => document.getElementById(id);

export const percent = (share) => `${(share * 100).toFixed(1)} %`;

export function text(element, value) {
  // Screen readers speak again what is written again.
  if (element.textContent !== value) element.textContent = value;
}

export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function showScores(list, top) {
  while (list.children.length > top.length) list.lastChild.remove();
  top.forEach((entry, place) => {
    let item = list.children[place];
    if (!item) {
      item = document.createElement("li");
      for (const name of ["name", "share", "bar"]) item.append(element("span", { className: name }));
      item.lastChild.append(document.createElement("span"));
      item.lastChild.setAttribute("aria-hidden", "true");
      list.append(item);
    }
    text(item.children[0], entry.label);
    text(item.children[1], percent(entry.score));
    item.querySelector(".bar span").style.width = `${Math.min(100, Math.max(0, entry.score * 100))}%`;
  });
}
