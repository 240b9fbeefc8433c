import type { OpenApiDocument } from './document.ts'
export function renderPage(document: OpenApiDocument, address: string): string { return address + document.openapi }
