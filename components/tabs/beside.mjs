// Which tabs are shown side by side, and how wide each is; kept in this browser.

const MOST = 4; // more are too narrow to read
const LEAST_SHARE = 0.1;

function takeOut(beside, key) {
  beside.groups = beside.groups.map((group) => group.filter((one) => one !== key)).filter((group) => group.length > 1);
  delete beside.shares[key];
}

function keep({ key, groups, shares }) {
  try {
    localStorage.setItem(key, JSON.stringify({ groups, shares }));
  } catch {
    // forbidden
  }
}

/** No private members: Vue watches it through a proxy. */
export class Beside {
  /** `name`: under which it is kept. */
  constructor(name) {
    this.key = `devex:beside:${name}`;
    try {
      const { groups, shares } = JSON.parse(localStorage.getItem(this.key));
      Object.assign(this, { groups, shares });
    } catch {
      Object.assign(this, { groups: [], shares: {} }); // nothing there, or forbidden
    }
  }

  /** The keys that are shown with this one, from left to right, itself among them. */
  with(key) {
    return this.groups.find((group) => group.includes(key)) ?? [key];
  }

  mayGrow(key) {
    return this.with(key).length < MOST;
  }

  /** Shows `fresh` to the right of `key`. */
  add(key, fresh) {
    if (!this.mayGrow(key) || this.with(key).includes(fresh)) return;
    takeOut(this, fresh);
    const group = this.with(key);
    this.groups = this.groups.filter((one) => one !== group);
    this.groups.push(group.toSpliced(group.indexOf(key) + 1, 0, fresh));
    for (const one of group) delete this.shares[one]; // all alike again
    keep(this);
  }

  /** Each of them alone again. */
  part(key) {
    const group = this.with(key);
    this.groups = this.groups.filter((one) => one !== group);
    keep(this);
  }

  /** Forgets what is gone. */
  only(keys) {
    const gone = this.groups.flat().filter((key) => !keys.includes(key));
    gone.forEach((key) => takeOut(this, key));
    if (gone.length) keep(this);
  }

  /** [{key, from, share}] of the whole width, from left to right. */
  widths(key) {
    const group = this.with(key);
    const shares = group.map((one) => this.shares[one] ?? 1);
    const total = shares.reduce((sum, one) => sum + one, 0);
    let from = 0;
    return group.map((one, index) => {
      const share = shares[index] / total;
      from += share;
      return { key: one, from: from - share, share };
    });
  }

  /** Moves the border on the left of `key` by a part of the whole width. */
  move(key, by) {
    const widths = this.widths(key);
    const at = widths.findIndex((one) => one.key === key);
    const [left, right] = [widths[at - 1], widths[at]];
    const moved = Math.min(Math.max(by, LEAST_SHARE - left.share), right.share - LEAST_SHARE);
    for (const { key: one, share } of widths) this.shares[one] = share;
    this.shares[left.key] += moved;
    this.shares[right.key] -= moved;
    keep(this);
  }
}
