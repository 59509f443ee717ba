// The data of the page: JSON whose large arrays are deflated byte planes in base64.

const PAGE = JSON.parse(byId("data").textContent);
const SIDES = ["chosen", "rejected"];

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Three planes of bytes, the highest first, as integers. */
async function unpackInts(base64) {
  const inflated = new Blob([bytesOf(base64)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(inflated).arrayBuffer());
  const size = planes.length / 3;
  const values = new Uint32Array(size);
  for (let i = 0; i < size; i++) {
    values[i] = (planes[i] << 16) | (planes[size + i] << 8) | planes[2 * size + i];
  }
  return values;
}

const LARGEST_POWER = 60; // of ten, among the decimals that a page may hold

const TENS = Array.from({ length: LARGEST_POWER + 8 }, (_, i) => Number(`1e${i}`));

/** The function from ranks to decimals of so many digits. */
function decimals(digits) {
  const lead = 10 ** (digits - 1);
  const each = 9 * lead; // decimals of one power
  const outermost = (2 * LARGEST_POWER + 1) * each + 1;
  return (rank) => {
    if (rank === 0) return 0;
    const size = Math.abs(rank);
    if (size >= outermost) return size > outermost ? NaN : rank * Infinity;
    const power = Math.floor((size - 1) / each) - LARGEST_POWER - digits + 1;
    const mantissa = Math.sign(rank) * (((size - 1) % each) + lead);
    // Division by a power that is exact gives the float nearest to the decimal.
    return power < 0 ? mantissa / TENS[-power] : mantissa * TENS[power];
  };
}

/** One run: where its tokens lie, and its numbers, unpacked when they are asked for. */
class Run {
  constructor(raw) {
    Object.assign(this, raw);
    this.count = raw.pairs.number.length;
    this.kept = new Map();
    this.ranksKept = new Map();
    this.starts = { chosen: [], rejected: [] };
    let end = 0;
    for (let pair = 0; pair < this.count; pair++) {
      for (const side of SIDES) {
        this.starts[side].push(end);
        end += raw.pairs.lengths[side][pair];
      }
    }
    this.size = end;
  }

  /** Unpacks which text each token has. */
  async open() {
    if (this.count) this.which ??= await unpackInts(this.tokens.which);
  }

  /** [start, end) of a response among the tokens. */
  range(pair, side) {
    const start = this.starts[side][pair];
    return [start, start + this.pairs.lengths[side][pair]];
  }

  text(token) {
    return this.tokens.texts[this.which[token]];
  }

  id(token) {
    return this.tokens.ids[this.which[token]];
  }

  responseText(pair, side) {
    const [start, end] = this.range(pair, side);
    let text = "";
    for (let token = start; token < end; token++) text += this.text(token);
    return text;
  }

  quantity(key) {
    return this.quantities.find((quantity) => quantity.key === key);
  }

  home(loss, key) {
    return this.quantity(key).each_loss ? this.losses[loss] : this.fixed;
  }

  /** Promise of a block's ranks among the decimals; see packing.py. */
  ranks(block) {
    if (!this.ranksKept.has(block)) this.ranksKept.set(block, this.unpackRanks(block));
    return this.ranksKept.get(block);
  }

  async unpackRanks(block) {
    const [packed, like] = this.blocks[block];
    const [rest, base] = await Promise.all([
      unpackInts(packed), like < 0 ? null : this.ranks(like)]);
    const ranks = new Int32Array(rest.buffer);
    for (let i = 0; i < ranks.length; i++) {
      const signed = rest[i] & 1 ? -((rest[i] + 1) >>> 1) : rest[i] >>> 1;
      ranks[i] = base ? base[i] + signed : signed;
    }
    return ranks;
  }

  /** Promise of a quantity of every token, then its sums over the responses. */
  values(loss, key) {
    const block = this.home(loss, key).blocks[key];
    if (!this.kept.has(block)) this.kept.set(block, this.unpackValues(block));
    return this.kept.get(block);
  }

  async unpackValues(block) {
    const ranks = await this.ranks(block);
    const values = new Float64Array(ranks.length);
    const decimal = decimals(this.digits);
    for (let i = 0; i < values.length; i++) values[i] = decimal(ranks[i]);
    return values;
  }

  /** Sum over a response, from what `values` gave. */
  sum(values, pair, side) {
    return values[this.size + SIDES.indexOf(side) * this.count + pair];
  }
}

const RUNS = PAGE.runs.map((raw) => new Run(raw));
