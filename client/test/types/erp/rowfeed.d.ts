// Written by rowfeed types: run it again when the configuration or a table has changed.

declare module 'rowfeed' {
  /** Makes this installation's channels, resources and events the client's own. */
  interface Register {
    schema: Schema
  }
}

/** What this installation sends, by channel and resource. */
export type Schema = {
  activity: {
    assets: {
      key: number
      events: {
        /** Rows of public.assets_asset, on insert and update; with `message` and `link`. */
        asset_assigned: {
          id: number
          tag: string
          name: string
          status: string
          assigned_to_id: number | null
          /** timestamp with time zone */
          assigned_at: string | null
          company_id: number
        }
      }
    }
    disbursements: {
      key: number
      events: {
        /** Rows of public.grants_disbursement, on update; with `message` and `link`. */
        grant_disbursed: {
          id: number
          number: string
          status: string
          grant_id: number
          /** numeric(14,2) */
          amount: string
          currency: string
          requested_by_id: number
          company_id: number
        }
      }
    }
    grants: {
      key: number
      events: {
        /** Rows of public.grants_grant; with `link`. */
        grant_changed: {
          id: number
          code: string
          title: string
          status: string
          /** numeric(14,2) */
          amount: string
          /** numeric(14,2) */
          disbursed: string
          currency: string
          manager_id: number
          company_id: number
        }
      }
    }
  }
  approvals: {
    'advance-requests': {
      key: number
      events: {
        /** Rows of public.finance_advancerequest; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          /** numeric(14,2) */
          amount: string
          /** numeric(14,2) */
          outstanding: string
          currency: string
          requested_by_id: number
          company_id: number
        }
      }
    }
    disbursements: {
      key: number
      events: {
        /** Rows of public.grants_disbursement; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          grant_id: number
          /** numeric(14,2) */
          amount: string
          currency: string
          requested_by_id: number
          company_id: number
        }
      }
    }
    'expense-requests': {
      key: number
      events: {
        /** Rows of public.finance_expenserequest; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          /** numeric(14,2) */
          amount: string
          currency: string
          requested_by_id: number
          company_id: number
        }
      }
    }
    'leave-requests': {
      key: number
      events: {
        /** Rows of public.hr_leaverequest; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          kind: string
          /** date */
          starts_on: string
          /** date */
          ends_on: string
          /** numeric(4,1) */
          days: number
          requested_by_id: number
          company_id: number
        }
      }
    }
    'physical-counts': {
      key: number
      events: {
        /** Rows of public.inventory_physicalcount; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          sku_id: number
          warehouse_id: number
          expected: number
          counted: number
          requested_by_id: number
          company_id: number
        }
      }
    }
    'policy-approvals': {
      key: number
      events: {
        /** Rows of public.hr_policyapproval; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          title: string
          version: string
          /** date */
          effective_on: string
          requested_by_id: number
          company_id: number
        }
      }
    }
    'purchase-orders': {
      key: number
      events: {
        /** Rows of public.procurement_purchaseorder; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          supplier: string
          warehouse_id: number
          /** numeric(14,2) */
          amount: string
          currency: string
          requested_by_id: number
          company_id: number
        }
      }
    }
    'transfer-requests': {
      key: number
      events: {
        /** Rows of public.inventory_transferrequest; with `link`; some with `message`. */
        approval_status_changed: {
          id: number
          number: string
          status: string
          sku_id: number
          from_warehouse_id: number
          to_warehouse_id: number
          quantity: number
          requested_by_id: number
          company_id: number
        }
        /** Rows of public.inventory_transferrequest; with `message` and `link`. */
        transfer_status_changed: {
          id: number
          number: string
          status: string
          sku_id: number
          from_warehouse_id: number
          to_warehouse_id: number
          quantity: number
          requested_by_id: number
          company_id: number
        }
      }
    }
  }
  notifications: {
    notifications: {
      key: number
      events: {
        /** Rows of public.notifications_notification, on insert; with `message` and `link`. */
        notification: {
          /** column kind */
          type: string
          message: string
          link: string
          /** timestamp with time zone */
          created_at: string
          /** timestamp with time zone */
          read_at: string | null
        }
      }
    }
  }
  stock: {
    'stock-levels': {
      key: number
      events: {
        /** Rows of public.inventory_stocklevel, on insert and update; with `message` and `link`. */
        low_stock: {
          id: number
          sku_id: number
          warehouse_id: number
          quantity: number
          reorder_level: number
          company_id: number
        }
        /** Rows of public.inventory_stocklevel. */
        stock_changed: {
          id: number
          sku_id: number
          warehouse_id: number
          /** column quantity */
          new_quantity: number
          reorder_level: number
        }
      }
    }
  }
}
