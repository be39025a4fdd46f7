// Where photos come from: chosen, photographed, dropped, pasted.

import { byId } from "./parts.js";

function pictures(files) {
  // Some systems give HEIC no type; what a file really is, the server finds in its bytes.
  return [...files].filter((file) => file.type === "" || file.type.startsWith("image/"));
}

function leftOut(files) {
  if (files.length === 0) return "";
  if (files.length === 1) return `${files[0].name} is no picture and was left out.`;
  return `${files.length} files are no pictures and were left out, such as ${files[0].name}.`;
}

export function listen(take, complain) {
  const offer = (files, nothing) => {
    const found = pictures(files);
    if (found.length > 0) take(found, leftOut([...files].filter((file) => !found.includes(file))));
    else complain(files.length > 0 ? "That is no picture. Choose a JPEG, PNG or WebP file." : nothing);
  };
  for (const id of ["choose", "capture"]) {
    byId(id).addEventListener("change", () => {
      const files = [...byId(id).files];
      byId(id).value = ""; // the same file can be chosen again
      if (files.length > 0) offer(files, "");
    });
  }
  let depth = 0;
  const over = (on) => {
    depth = on === null ? 0 : depth + (on ? 1 : -1);
    byId("stage").classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", (event) => { event.preventDefault(); over(true); });
  document.addEventListener("dragleave", () => over(false));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(null);
    offer(event.dataTransfer.files, "A picture of another page cannot be read from here. Copy it there and paste it, or save it first.");
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea")) return;
    offer(event.clipboardData.files, "There is no picture on the clipboard.");
  });
}
