// The heat map of an answer over its picture.

const LONGEST = 1024;

/** Whether it was drawn: ``wanted`` may have come to an end while the picture was decoded. */
export async function draw(canvas, map, width, height, wanted) {
  const colors = new Image();
  colors.src = map.picture;
  await colors.decode();
  if (!wanted()) return false;
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  // What the network did not see is grey.
  pen.fillStyle = "#55595f";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const [left, top, right, bottom] = map.box;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(
    colors, left * canvas.width, top * canvas.height,
    (right - left) * canvas.width, (bottom - top) * canvas.height,
  );
  return true;
}
