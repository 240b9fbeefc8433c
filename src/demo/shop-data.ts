// The rows of the sample shop: people, goods and two years of orders, the same at every run but for
// the day they are counted back from. Ignorant of SQL. All names are invented.

const dayMs = 86_400_000
const customerCount = 600
const orderCount = 3_000
const spanDays = 730

const regions = [
  {
    country: 'United Kingdom',
    cities: ['London', 'Leeds', 'Bristol', 'Glasgow', 'Cardiff'],
    first: ['Amelia', 'Oliver', 'Isla', 'George', 'Poppy', 'Arthur', 'Freya', 'Harry', 'Imogen'],
    last: ['Clarke', 'Hughes', 'Patel', 'Walker', 'Bennett', 'Fraser', 'Doyle', 'Marsh', 'Reid'],
  },
  {
    country: 'Germany',
    cities: ['Berlin', 'Hamburg', 'Leipzig', 'Köln', 'München'],
    first: ['Lena', 'Jonas', 'Mia', 'Felix', 'Klara', 'Moritz', 'Anke', 'Jürgen', 'Greta'],
    last: ['Schneider', 'Vogel', 'Krüger', 'Brandt', 'Lorenz', 'Weiß', 'Hartmann', 'Busch'],
  },
  {
    country: 'Spain',
    cities: ['Madrid', 'Valencia', 'Sevilla', 'Bilbao', 'Málaga'],
    first: ['Lucía', 'Mateo', 'Carmen', 'Álvaro', 'Inés', 'Diego', 'Nuria', 'Javier', 'Elena'],
    last: ['García', 'Navarro', 'Iglesias', 'Molina', 'Ortega', 'Serrano', 'Vidal', 'Núñez'],
  },
  {
    country: 'France',
    cities: ['Paris', 'Lyon', 'Nantes', 'Lille', 'Bordeaux'],
    first: ['Chloé', 'Hugo', 'Manon', 'Théo', 'Camille', 'Lucas', 'Margaux', 'Antoine', 'Zoé'],
    last: ['Moreau', 'Lefèvre', 'Girard', 'Rousseau', 'Blanchard', 'Perrin', 'Dumont', 'Faure'],
  },
  {
    country: 'Poland',
    cities: ['Warszawa', 'Kraków', 'Gdańsk', 'Wrocław', 'Poznań'],
    first: ['Zofia', 'Jakub', 'Hanna', 'Piotr', 'Maja', 'Tomasz', 'Ewa', 'Marek', 'Agata'],
    last: ['Nowak', 'Wójcik', 'Mazur', 'Krawczyk', 'Zając', 'Pawlak', 'Sikora', 'Baran'],
  },
] as const

/** Category -> article -> price of the plainest variant. */
const catalogue: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  Coffee: {
    'Espresso cup': 9.5,
    'Pour-over dripper': 24,
    'Hand grinder': 69,
    'Milk jug': 18.5,
    'Coffee scale': 45,
  },
  Kitchen: {
    'Chopping board': 32,
    'Bread knife': 54,
    'Cast-iron pan': 79,
    'Mixing bowl': 21,
    'Pepper mill': 38,
  },
  Living: {
    'Floor lamp': 129,
    'Wool blanket': 89,
    'Side table': 149,
    'Wall clock': 59,
    Vase: 34,
  },
  Office: {
    Notebook: 12.5,
    'Desk lamp': 84,
    'Pen tray': 19,
    'Monitor stand': 72,
    'Letter opener': 16,
  },
  Garden: {
    'Watering can': 29,
    'Plant pot': 17.5,
    Secateurs: 41,
    Lantern: 36,
    'Folding chair': 94,
  },
}
const variants = ['Oak', 'Walnut', 'Slate', 'Linen', 'Copper'] as const
const surcharge = [0, 4, 2.5, 1, 7.5] as const

export interface ShopRows {
  readonly customers: readonly object[]
  readonly products: readonly object[]
  readonly orders: readonly object[]
  readonly items: readonly object[]
}

/** Rows whose keys are the tables' column names. `today` is the day of the newest orders. */
export function shopRows(today: Date): ShopRows {
  const random = seeded(20_240_229)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const daysBefore = (days: number) => new Date(today.getTime() - days * dayMs).toISOString()

  const products = Object.entries(catalogue).flatMap(([category, articles]) =>
    Object.entries(articles).flatMap(([article, price]) =>
      variants.map((variant, index) => ({
        name: `${article}, ${variant.toLowerCase()}`,
        category,
        price: price + at(surcharge, index),
        stock: upTo(240),
      })),
    ),
  )

  // The root favours recent days (the shop grows), the square favours some customers (regulars).
  const orders = Array.from({ length: orderCount }, () => ({
    customer: upTo(customerCount * random()),
    age: spanDays * (1 - Math.sqrt(random())),
  })).sort((one, other) => other.age - one.age)

  const oldest = new Map<number, number>()
  for (const { customer, age } of orders) {
    oldest.set(customer, Math.max(age, oldest.get(customer) ?? 0))
  }

  return {
    customers: Array.from({ length: customerCount }, (_, index) => {
      const region = at(regions, upTo(regions.length))
      const first = at(region.first, upTo(region.first.length))
      const last = at(region.last, upTo(region.last.length))
      return {
        id: index + 1,
        full_name: `${first} ${last}`,
        email: `${ascii(first)}.${ascii(last)}${index + 1}@example.com`,
        city: at(region.cities, upTo(region.cities.length)),
        country: region.country,
        created_at: daysBefore((oldest.get(index) ?? upTo(spanDays)) + random() * 30),
      }
    }),
    products: products.map((product, index) => ({ id: index + 1, ...product })),
    orders: orders.map(({ customer, age }, index) => {
      const status = statusAt(age, random())
      const left = status === 'shipped' || status === 'delivered' || status === 'returned'
      return {
        id: index + 1,
        customer_id: customer + 1,
        status,
        ordered_at: daysBefore(age),
        shipped_at: left ? daysBefore(age - 0.5 - random()) : null,
      }
    }),
    items: orders.flatMap((_, index) =>
      Array.from({ length: 1 + upTo(4) }, (_, line) => {
        const product = upTo(products.length)
        return {
          order_id: index + 1,
          line: line + 1,
          product_id: product + 1,
          quantity: 1 + upTo(3),
          unit_price: at(products, product).price,
        }
      }),
    ),
  }
}

function statusAt(age: number, chance: number): string {
  if (age < 1) return chance < 0.5 ? 'new' : 'paid'
  if (age < 2) return 'paid'
  if (age < 7) return 'shipped'
  if (chance < 0.05) return 'cancelled'
  return chance < 0.08 ? 'returned' : 'delivered'
}

/** mulberry32: small, and the same everywhere. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index]
  if (found === undefined) throw new RangeError(`no element ${index} in a list of ${list.length}`)
  return found
}

function ascii(text: string): string {
  const plain = text.toLowerCase().replaceAll('ß', 'ss').replaceAll('ł', 'l')
  return plain.normalize('NFD').replace(/[^a-z]/g, '')
}
