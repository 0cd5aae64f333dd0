// PDFs made for a test.

const page = (content, resources) =>
  `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${content} 0 R /Resources << ${resources} >> >>`;

const stream = (bytes, entries = '') =>
  Buffer.concat([Buffer.from(`<< ${entries}/Length ${bytes.length} >>\nstream\n`), Buffer.from(bytes), Buffer.from('\nendstream')]);

/** As many pages as a test needs; page 7 says "This is page 7." Each has `weight` bytes that show nothing. */
export function pages(count, { weight = 0 } = {}) {
  const ballast = weight > 0 ? `%${'-'.repeat(weight)}\n` : '';
  const font = '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>';
  const leaves = Array.from({ length: count }, (_, index) => [
    page(5 + 2 * index, '/Font << /F1 3 0 R >>'),
    stream(`${ballast}BT /F1 24 Tf 72 420 Td (This is page ${index + 1}.) Tj ET`),
  ]);
  return document(font, leaves);
}

/** Pages that are nothing but a picture, all the same one: a JPEG of this many pixels. */
export function scans(count, { jpeg, width, height }) {
  const picture = stream(
    jpeg,
    `/Type /XObject /Subtype /Image /Width ${width} /Height ${height} /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode `,
  );
  const leaves = Array.from({ length: count }, (_, index) => [
    page(5 + 2 * index, '/XObject << /Im 3 0 R >>'),
    stream('612 0 0 792 0 0 cm /Im Do'),
  ]);
  return document(picture, leaves);
}

/** What all pages use is object 3; then come a page and what is on it, in turns. */
function document(shared, leaves) {
  const kids = leaves.map((_, index) => `${4 + 2 * index} 0 R`).join(' ');
  const tree = `<< /Type /Pages /Count ${leaves.length} /Kids [${kids}] >>`;
  const objects = ['<< /Type /Catalog /Pages 2 0 R >>', tree, shared, ...leaves.flat()];
  const parts = [Buffer.from('%PDF-1.4\n')];
  let length = parts[0].length;
  const offsets = objects.map((object, index) => {
    const offset = length;
    const whole = [Buffer.from(`${index + 1} 0 obj\n`), Buffer.from(object), Buffer.from('\nendobj\n')];
    parts.push(...whole);
    for (const part of whole) length += part.length;
    return offset;
  });
  const entries = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const size = objects.length + 1;
  const trailer = `trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${length}\n%%EOF\n`;
  return Buffer.concat([...parts, Buffer.from(`xref\n0 ${size}\n0000000000 65535 f \n${entries}${trailer}`)]);
}
